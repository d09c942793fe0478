// What quantization did to a weight: relative errors of the weight and, with a Hessian, of the layer's output.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quantize/linalg.h"
#include "scheme/qtensor.h"

namespace octavo {

struct WeightErrors {
  double weight = 0;  // ||W' - W||_F / ||W||_F
  double output = 0;  // sqrt(tr(D H D^T) / tr(W H W^T)), D = W' - W; 0 without a Hessian
};
WeightErrors measure_errors(const float* w, const QTensor& q, const ColumnPanels* hessian, ThreadPool& pool);

// All rows as floats, [n, k].
std::vector<float> dequantize_all(const QTensor& w, ThreadPool& pool);
// "" or "3 of 4096 values are NaN or infinite, the first at row 1, column 2".
std::string describe_nonfinite(const std::vector<float>& values, int64_t columns);
// Throws kInvalid with the tensor's name where describe_nonfinite finds something.
void refuse_nonfinite(const std::vector<float>& values, int64_t columns, std::string_view name);

}  // namespace octavo
