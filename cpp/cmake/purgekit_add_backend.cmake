# purgekit_add_backend(<name> SOURCES file... [LIBRARIES target...])
#
# Builds purgekit_backend_<name>.so: hidden symbols but the entry symbol, libraries looked for beside itself first.
# Used for the shipped backends and, through find_package(purgekit), by anyone else's.
set(purgekit_exports "${CMAKE_CURRENT_LIST_DIR}/purgekit_backend.map" CACHE INTERNAL "Symbols a backend may export")

function(purgekit_add_backend name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  set(target purgekit_backend_${name})
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE purgekit::sdk ${arg_LIBRARIES})
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${target}
    CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    BUILD_RPATH_USE_ORIGIN ON INSTALL_RPATH "$ORIGIN")
  # Client libraries linked in statically keep their symbols to themselves too, so that two of them can live in one process.
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL "-Wl,--version-script=${purgekit_exports}")
  set_target_properties(${target} PROPERTIES LINK_DEPENDS "${purgekit_exports}")
endfunction()
