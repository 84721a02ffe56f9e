# cmake --install: the program, what it reads, and what the author of a plugin needs. All paths are relative to
# where it is installed, so that a moved prefix still works.
set(NB_PKGCONFIG_DIR ${CMAKE_INSTALL_DATADIR}/pkgconfig) # a header alone: the same on every architecture
file(RELATIVE_PATH NB_PREFIX_FROM_PC /prefix/${NB_PKGCONFIG_DIR} /prefix)
file(STRINGS ${PROJECT_SOURCE_DIR}/kernels/nb_kernel.h NB_ABI REGEX "^#define NB_KERNEL_ABI ")
string(REGEX REPLACE "[^0-9]*([0-9]+)u$" "\\1" NB_ABI "${NB_ABI}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/normbench.pc.in ${PROJECT_BINARY_DIR}/normbench.pc @ONLY)

install(TARGETS normbench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${PROJECT_SOURCE_DIR}/kernels/nb_kernel.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_BINARY_DIR}/normbench.pc DESTINATION ${NB_PKGCONFIG_DIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/presets ${PROJECT_SOURCE_DIR}/plots ${PROJECT_SOURCE_DIR}/reference/claims
        DESTINATION ${CMAKE_INSTALL_DATADIR}/normbench)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/scripts/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/normbench USE_SOURCE_PERMISSIONS)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/normbench
        PATTERN "*.so" EXCLUDE)
