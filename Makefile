# A thin entry over the CMake presets; needs nothing installed but cmake and ninja.
.PHONY: all check asan tsan release
all:
	cmake --preset dev
	cmake --build --preset dev
check: all
	ctest --preset dev
asan tsan:
	cmake --preset $@
	cmake --build --preset $@
	ctest --preset $@
release:
	cmake --preset release
	cmake --build --preset release
