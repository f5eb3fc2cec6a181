# zspool_warnings: what every target of ours is compiled with; linked privately.
add_library(zspool_warnings INTERFACE)
target_compile_options(zspool_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wformat=2 -Wundef -Wcast-qual -Wcast-align -Wwrite-strings -Wpointer-arith
    -Wimplicit-fallthrough -Wnull-dereference -Wswitch-enum
    $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init>
    $<$<BOOL:${ZSPOOL_WERROR}>:-Werror>)
target_compile_definitions(zspool_warnings INTERFACE _POSIX_C_SOURCE=200809L)

if(ZSPOOL_SANITIZE)
    add_compile_options(-fsanitize=${ZSPOOL_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all -g)
    add_link_options(-fsanitize=${ZSPOOL_SANITIZE})
endif()
