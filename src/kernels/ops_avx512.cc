// The bodies of ops.h compiled for avx512.
#include <immintrin.h>

#include "kernels/ops_body.h"

namespace octavo {

const OpsTable& ops_avx512() { return kOps; }

}  // namespace octavo
