// Entry points of the checks and times of the acext adapters.
#pragma once

namespace octavo::cuda::testing {

int run_acext_checks(bool quick);
int run_acext_bench();  // the adapters beside woq_run and w8a8_run

}  // namespace octavo::cuda::testing
