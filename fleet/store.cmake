# The index of runs and their history. They need SQLite; without it the commands say how to get it.
find_package(PkgConfig REQUIRED)
pkg_check_modules(SQLITE IMPORTED_TARGET sqlite3>=3.31)
target_sources(nb_fleet PRIVATE changes.c folders.c shallow.c)
set(NB_HAVE_SQLITE OFF)
if(TARGET PkgConfig::SQLITE AND NOT NB_NO_SQLITE)
  set(NB_HAVE_SQLITE ON)
  target_sources(nb_fleet PRIVATE db.c store_schema.c dictionary.c import.c entries.c query.c query_print.c db_cli.c
                 history.c history_load.c history_write.c history_picture.c history_cli.c)
  target_link_libraries(nb_fleet PUBLIC PkgConfig::SQLITE)
else()
  target_sources(nb_fleet PRIVATE store_absent.c)
  message(STATUS "SQLite: absent, no `normbench db` and `normbench history` (apt-get install libsqlite3-dev)")
endif()
set_property(GLOBAL PROPERTY NB_HAVE_SQLITE ${NB_HAVE_SQLITE}) # for the tests
