# Writes OUT: the lines of RECORD (tests/accuracy_record.csv) as initializers of five strings each, for
# harness/explain.c. A record without family and share is taken, too.
file(STRINGS "${RECORD}" lines)
list(POP_FRONT lines) # names of columns
set(text "")
foreach(line IN LISTS lines)
  if(line MATCHES "^([^,]+),([^,]+),([^,]+),([^,]+),([^,]+)$")
    string(APPEND text "{\"${CMAKE_MATCH_1}\", \"${CMAKE_MATCH_2}\", \"${CMAKE_MATCH_3}\", \"${CMAKE_MATCH_4}\", \"${CMAKE_MATCH_5}\"},\n")
  elseif(line MATCHES "^([^,]+),([^,]+),([^,]+)$")
    string(APPEND text "{\"${CMAKE_MATCH_1}\", \"${CMAKE_MATCH_2}\", \"${CMAKE_MATCH_3}\", NULL, NULL},\n")
  else()
    message(FATAL_ERROR "${RECORD}: not kernel,hidden,E_max[,family,share]: ${line}")
  endif()
endforeach()
file(WRITE "${OUT}" "${text}")
