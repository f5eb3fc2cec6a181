# The libraries zspool stands on, as imported pkg-config targets. The system
# paths are marked SYSTEM by pkg-config's imported targets, so that foreign
# headers raise no warnings.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
pkg_check_modules(CZMQ REQUIRED IMPORTED_TARGET libczmq>=4.2.1)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4.8)
# msgpack-c was renamed on the way from 4 to 6.
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)
# Debian 13's msgpack-c.pc says -Iinclude, relative to nothing; the headers are
# where every compiler looks.
get_target_property(msgpack_includes PkgConfig::MSGPACK INTERFACE_INCLUDE_DIRECTORIES)
if(msgpack_includes)
    list(FILTER msgpack_includes INCLUDE REGEX "^/")
    set_target_properties(PkgConfig::MSGPACK PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${msgpack_includes}")
endif()
if(ZSPOOL_BUILD_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
endif()
