// The bodies of ops.h compiled for avx2.
#include <immintrin.h>

#include "kernels/ops_body.h"

namespace octavo {

const OpsTable& ops_avx2() { return kOps; }

}  // namespace octavo
