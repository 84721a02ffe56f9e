// gbench_shim.cpp: the only C++ of the project. Registers and forwards; decides nothing.
#include "gbench_shim.h"

#include <benchmark/benchmark.h>

#include <vector>

namespace
{

// One registered sample: KeepRunningBatch takes all its passes as one batch, so the library divides
// the manual time by the passes and we multiply it back.
void RunSample(benchmark::State &state, unsigned passes, nb_gb_sample sample, void *context)
{
    while (state.KeepRunningBatch(passes))
        state.SetIterationTime(1e-9 * static_cast<double>(sample(context, passes)));
}

class Reporter : public benchmark::BenchmarkReporter
{
  public:
    Reporter(nb_gb_result result, void *context) : result_(result), context_(context)
    {
    }
    bool ReportContext(const Context &) override
    {
        return true;
    }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs)
            result_(context_, index_++, 1e9 * run.real_accumulated_time);
    }
    size_t Count() const
    {
        return index_;
    }

  private:
    nb_gb_result result_;
    void *context_;
    size_t index_ = 0;
};

} // namespace

void nb_gb_clear(void)
{
    benchmark::ClearRegisteredBenchmarks();
}

void nb_gb_add(const char *name, unsigned passes, nb_gb_sample sample, void *context)
{
    benchmark::RegisterBenchmark(name, RunSample, passes, sample, context)
        ->Iterations(passes)
        ->UseManualTime();
}

size_t nb_gb_run(nb_gb_result result, void *context)
{
    Reporter reporter(result, context);
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return reporter.Count();
}
