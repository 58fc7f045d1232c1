# Stands in for the TorchConfig.cmake inside the torch wheel, which asks for a whole CUDA toolkit
# when torch was built with CUDA.  kaldifeat has no CUDA code: it needs torch's headers and three
# libraries.  TORCH_ROOT and TORCH_CXX11_ABI come from utils/build_kaldifeat.sh.
set(TORCH_INCLUDE_DIRS ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include)
set(TORCH_LIBRARIES ${TORCH_ROOT}/lib/libtorch.so ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so)
set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=${TORCH_CXX11_ABI}")
include_directories(SYSTEM ${TORCH_INCLUDE_DIRS})
set(TORCH_FOUND TRUE)
