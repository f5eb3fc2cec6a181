# zspool_archive(NAME OUTPUT PARTS target... PACKAGES name...): the installed static library
# lib<OUTPUT>.a, as target NAME, out of static libraries of ours; PACKAGES are those of
# ZspoolDependencies.cmake that whoever links it needs.
#
# A static library has no visibility, so its objects are linked into one whose other
# names are local: `config_init`, `wire_map` and the like belong to the host.
function(zspool_archive name output)
    cmake_parse_arguments(ARG "" "" "PARTS;PACKAGES" ${ARGN})
    set(without_lto "") # what is only compiled when it is linked has no names to make local
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        set(without_lto -flinker-output=nolto-rel)
    endif()
    set(prelinked "${CMAKE_CURRENT_BINARY_DIR}/${output}.o")
    list(TRANSFORM ARG_PARTS REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE files)
    add_custom_command(OUTPUT "${prelinked}"
        COMMAND "${CMAKE_C_COMPILER}" -r -nostdlib ${without_lto} -o "${prelinked}.all"
            -Wl,--whole-archive ${files}
        COMMAND "${CMAKE_OBJCOPY}" --localize-hidden "${prelinked}.all" "${prelinked}"
        DEPENDS ${ARG_PARTS}
        VERBATIM)
    add_library(${name} STATIC "${prelinked}")
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME ${output})
    target_link_libraries(${name} PUBLIC Threads::Threads)
    foreach(package ${ARG_PACKAGES})
        # The name by which zspool-config.cmake finds the same library again.
        string(TOLOWER ${package} lower)
        target_link_libraries(${name}
            PRIVATE $<BUILD_INTERFACE:PkgConfig::${package}>
            INTERFACE $<INSTALL_INTERFACE:PkgConfig::ZSPOOL_${lower}>)
    endforeach()
endfunction()
