// The bodies of ops.h compiled for the baseline CPU.
#include "base/half.h"
#include "kernels/ops_body.h"

namespace octavo {

const OpsTable& ops_scalar() { return kOps; }

}  // namespace octavo
