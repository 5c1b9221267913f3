# The libraries that the calibrator, the CUDA module and their tests need, from a folder that `scripts/gpu-session pack` filled
# (PACELINE_BUNDLED: include/ and lib/), for a GPU machine without our Debian packages.
find_package(Threads REQUIRED)
foreach(name nlohmann_json::nlohmann_json fmt::fmt Boost::headers CLI11::CLI11 Eigen3::Eigen ZLIB::ZLIB GTest::gmock GTest::gtest_main)
  add_library(${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${name} SYSTEM INTERFACE ${PACELINE_BUNDLED}/include)
endforeach()
target_include_directories(Eigen3::Eigen SYSTEM INTERFACE ${PACELINE_BUNDLED}/include/eigen3)
target_link_libraries(ZLIB::ZLIB INTERFACE ${PACELINE_BUNDLED}/lib/libz.a)
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY=1)
target_link_libraries(GTest::gmock INTERFACE ${PACELINE_BUNDLED}/lib/libgmock.a ${PACELINE_BUNDLED}/lib/libgtest.a Threads::Threads)
target_link_libraries(GTest::gtest_main INTERFACE ${PACELINE_BUNDLED}/lib/libgtest_main.a ${PACELINE_BUNDLED}/lib/libgtest.a Threads::Threads)
include(GoogleTest)
