// Loads the GPU module. It is looked for beside the program, then where OCTAVO_GPU_MODULE says.
#include "kernels/gpu.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace octavo {
namespace {

Gpu* open_gpu() {
  const char* named = std::getenv("OCTAVO_GPU_MODULE");
  std::filesystem::path path;
  if (named != nullptr && *named != 0) {
    path = named;
  } else {
    std::error_code failed;
    path = std::filesystem::read_symlink("/proc/self/exe", failed).parent_path() / "liboctavo_gpu.so";
  }
  std::error_code failed;
  if (!std::filesystem::exists(path, failed))
    fail(Code::kDevice, "built without CUDA: there is no ", quoted(path.string()), " (CMake makes it where it finds nvcc 12.3 or later)");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(Code::kDevice, "the GPU module cannot be loaded: ", quoted(std::string_view(dlerror())));
  const auto open = reinterpret_cast<OpenGpu>(dlsym(library, "octavo_open_gpu"));
  Gpu* gpu = open == nullptr ? nullptr : open(kGpuInterface);
  if (gpu == nullptr) fail(Code::kDevice, quoted(path.string()), " is the module of another version of Octavo");
  return gpu;
}

}  // namespace

Gpu& gpu() {
  static Gpu* const opened = open_gpu();
  return *opened;
}

bool gpu_available() {
  try {
    gpu().device();
    return true;
  } catch (const Error& error) {
    if (error.code() != Code::kDevice) throw;
    return false;
  }
}

}  // namespace octavo
