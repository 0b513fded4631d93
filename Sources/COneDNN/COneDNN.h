// oneDNN's sgemm and the one OpenMP call that it needs. Imported by Sources/Tensor/MatrixProduct.swift alone.
#pragma once
#include <dnnl.h>

// Declared here because <omp.h> lies in GCC's own include folder, where clang does not look.
void omp_set_num_threads(int threads);
