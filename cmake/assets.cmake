# Writes OUT: STYLE and SCRIPT as C strings, and the base64 of their SHA-256, by which the page's content security policy
# knows them.
set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

# 64 hexadecimal digits: three are two characters, the last one is one, and "=" fills up.
function(base64_of_sha256 file out)
  file(SHA256 "${file}" hex)
  set(text "")
  foreach(at RANGE 0 60 3)
    string(SUBSTRING "${hex}" ${at} 3 digits)
    math(EXPR high "0x${digits} >> 6")
    math(EXPR low "0x${digits} & 63")
    string(SUBSTRING "${alphabet}" ${high} 1 first)
    string(SUBSTRING "${alphabet}" ${low} 1 second)
    string(APPEND text "${first}${second}")
  endforeach()
  string(SUBSTRING "${hex}" 63 1 digit)
  math(EXPR last "0x${digit} << 2")
  string(SUBSTRING "${alphabet}" ${last} 1 third)
  set(${out} "${text}${third}=" PARENT_SCOPE)
endfunction()

function(c_string file out)
  file(READ "${file}" text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\" \\\n    \"" text "${text}")
  set(${out} "\"${text}\"" PARENT_SCOPE)
endfunction()

base64_of_sha256("${STYLE}" style_hash)
base64_of_sha256("${SCRIPT}" script_hash)
c_string("${STYLE}" style)
c_string("${SCRIPT}" script)
file(WRITE "${OUT}" "/* Made by cmake/assets.cmake. */
#define NB_PAGE_STYLE_HASH \"${style_hash}\"
#define NB_PAGE_SCRIPT_HASH \"${script_hash}\"
#define NB_PAGE_STYLE ${style}
#define NB_PAGE_SCRIPT ${script}
")
