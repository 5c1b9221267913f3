cmake_minimum_required(VERSION 3.25)
# cmake -DSOURCE=<repository> -P architectures_test.cmake
include("${SOURCE}/cmake/CudaArchitectures.cmake")

function(expect codes expected)
  paceline_pick_cuda_architectures("${codes}" picked)
  if(NOT "${picked}" STREQUAL "${expected}")
    message(FATAL_ERROR "for '${codes}': expected '${expected}', got '${picked}'")
  endif()
endfunction()

# CUDA 13.0 has dropped Pascal and Volta; 12.8 has both them and Blackwell; 12.0 ends with Hopper.
expect("sm_75;sm_80;sm_86;sm_87;sm_88;sm_89;sm_90;sm_100;sm_110;sm_103;sm_120;sm_121"
       "75-real;80-real;86-real;89-real;90-real;100-real;120")
expect("sm_50;sm_52;sm_60;sm_61;sm_62;sm_70;sm_72;sm_75;sm_80;sm_86;sm_87;sm_89;sm_90;sm_100;sm_120"
       "61-real;70-real;75-real;80-real;86-real;89-real;90-real;100-real;120")
expect("sm_50;sm_60;sm_61;sm_70;sm_75;sm_80;sm_86;sm_87;sm_89;sm_90"
       "61-real;70-real;75-real;80-real;86-real;89-real;90")
expect("sm_75" "75")
expect("sm_35;sm_50" "")
expect("" "")

paceline_query_cuda_architectures("/no/such/nvcc" picked)
if(NOT "${picked}" STREQUAL "")
  message(FATAL_ERROR "an absent nvcc gave '${picked}'")
endif()
