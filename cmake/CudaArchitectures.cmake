# Which GPU architectures to compile for: those of our list that this nvcc still, or already, knows.
# Pure list arithmetic, so that tests/cuda can check it without a compiler.
set(PACELINE_CUDA_WANTED_ARCHITECTURES 61 70 75 80 86 89 90 100 120)

# paceline_pick_cuda_architectures(<codes> <out>): <codes> is what `nvcc --list-gpu-code` prints, as a list
# ("sm_75;sm_80;..."). Machine code for each common architecture, and PTX of the newest for GPUs to come.
function(paceline_pick_cuda_architectures codes out)
  set(picked "")
  foreach(architecture IN LISTS PACELINE_CUDA_WANTED_ARCHITECTURES)
    if("sm_${architecture}" IN_LIST codes)
      list(APPEND picked "${architecture}")
    endif()
  endforeach()
  if(picked)
    list(POP_BACK picked newest)
    list(TRANSFORM picked APPEND "-real")
    list(APPEND picked "${newest}")
  endif()
  set(${out} "${picked}" PARENT_SCOPE)
endfunction()

# paceline_query_cuda_architectures(<nvcc> <out>): the same, asking the compiler. Empty if it does not answer.
function(paceline_query_cuda_architectures nvcc out)
  execute_process(COMMAND "${nvcc}" --list-gpu-code OUTPUT_VARIABLE codes ERROR_QUIET
                  RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    set(codes "")
  endif()
  string(REGEX MATCHALL "sm_[0-9]+" codes "${codes}")
  paceline_pick_cuda_architectures("${codes}" picked)
  set(${out} "${picked}" PARENT_SCOPE)
endfunction()
