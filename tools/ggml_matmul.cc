// ggml's matrix product on one thread, to stand beside octavo_kernel_bench --int8: compare_llamacpp.py --kernels builds it
// against the libraries of a llama.cpp build. No part of Octavo.
//   ggml_matmul N K ROUNDS M,M,... TYPE...
// For each type: weights in as many copies as make 400 MB take turns, in ggml's repacked layout where it has one for this CPU.
// Prints "TYPE LAYOUT M SECONDS": medians of ROUNDS of processor time per product.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

namespace {

double seconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Gives the tensors memory of this kind; false if it does not suit them.
bool place(const std::vector<ggml_tensor*>& weights, ggml_context* context, ggml_backend_dev_t device, ggml_backend_buffer_type_t kind) {
  const size_t each = (ggml_backend_buft_get_alloc_size(kind, weights[0]) + 63) / 64 * 64;
  ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(kind, each * weights.size() + 4096);
  char* at = static_cast<char*>(ggml_backend_buffer_get_base(buffer));
  for (ggml_tensor* weight : weights) {
    ggml_backend_tensor_alloc(buffer, weight, at);
    at += each;
  }
  ggml_tensor* x = ggml_new_tensor_2d(context, GGML_TYPE_F32, weights[0]->ne[0], 1);
  if (kind == ggml_backend_cpu_buffer_type() || (weights[0]->extra != nullptr && ggml_backend_dev_supports_op(device, ggml_mul_mat(context, weights[0], x))))
    return true;
  ggml_backend_buffer_free(buffer);
  for (ggml_tensor* weight : weights) weight->buffer = nullptr, weight->data = nullptr, weight->extra = nullptr;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const int64_t n = std::atoll(argv[1]), k = std::atoll(argv[2]);
  const int rounds = std::atoi(argv[3]);
  std::vector<int64_t> ms;
  for (const char* at = argv[4]; *at != '\0'; at += *at == ',') ms.push_back(std::strtoll(at, const_cast<char**>(&at), 10));
  ggml_backend_t cpu = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(cpu, 1);
  ggml_backend_dev_t device = ggml_backend_get_device(cpu);
  const auto extra = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts"));
  std::vector<ggml_backend_buffer_type_t> kinds;
  if (extra != nullptr)
    for (ggml_backend_buffer_type_t* kind = extra(device); kind != nullptr && *kind != nullptr; ++kind) kinds.push_back(*kind);
  kinds.push_back(ggml_backend_cpu_buffer_type());
  std::mt19937 rng(1);
  std::normal_distribution<float> draw;
  std::vector<float> dense(static_cast<size_t>(n * k));
  for (float& value : dense) value = draw(rng);
  for (int i = 5; i < argc; ++i) {
    ggml_type type = GGML_TYPE_COUNT;
    for (int t = 0; t < GGML_TYPE_COUNT; ++t)
      if (const char* name = ggml_type_name(static_cast<ggml_type>(t)); name != nullptr && std::string(name) == argv[i]) type = static_cast<ggml_type>(t);
    if (type == GGML_TYPE_COUNT) return 2;
    std::vector<char> codes(ggml_row_size(type, k) * static_cast<size_t>(n));
    ggml_quantize_chunk(type, dense.data(), codes.data(), 0, n, k, nullptr);
    ggml_context* context = ggml_init({size_t{16} << 20, nullptr, true});
    std::vector<ggml_tensor*> weights;
    for (size_t bytes = 0; bytes < size_t{400} << 20; bytes += codes.size()) weights.push_back(ggml_new_tensor_2d(context, type, k, n));
    const char* layout = "";
    for (ggml_backend_buffer_type_t kind : kinds)
      if (*layout == '\0' && place(weights, context, device, kind)) layout = ggml_backend_buft_name(kind);
    for (ggml_tensor* weight : weights) ggml_backend_tensor_set(weight, codes.data(), 0, codes.size());
    for (const int64_t m : ms) {
      ggml_context* products = ggml_init({size_t{16} << 20, nullptr, true});
      ggml_tensor* x = ggml_new_tensor_2d(products, GGML_TYPE_F32, k, m);
      std::vector<ggml_tensor*> results;
      for (ggml_tensor* weight : weights) results.push_back(ggml_mul_mat(products, weight, x));
      ggml_backend_buffer_t memory = ggml_backend_alloc_ctx_tensors(products, cpu);
      std::vector<float> values(static_cast<size_t>(k * m));
      for (float& value : values) value = draw(rng);
      ggml_backend_tensor_set(x, values.data(), 0, values.size() * sizeof(float));
      std::vector<ggml_cgraph*> graphs;
      for (ggml_tensor* result : results) {
        graphs.push_back(ggml_new_graph_custom(products, 8, false));
        ggml_build_forward_expand(graphs.back(), result);
      }
      std::vector<double> times;
      size_t turn = 0;
      for (int round = 0; round < rounds; ++round) {
        int calls = 0;
        const double start = seconds();
        double took = 0;
        while (took < 0.04) {
          ggml_backend_graph_compute(cpu, graphs[turn++ % graphs.size()]);
          ++calls;
          took = seconds() - start;
        }
        times.push_back(took / calls);
      }
      std::sort(times.begin(), times.end());
      std::printf("%s %s %lld %.9f\n", argv[i], layout, static_cast<long long>(m), times[times.size() / 2]);
      std::fflush(stdout);
      ggml_backend_buffer_free(memory);
      ggml_free(products);
    }
    ggml_backend_buffer_free(weights[0]->buffer);
    ggml_free(context);
  }
  return 0;
}
