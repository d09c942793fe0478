// The arithmetic of judgement on single rows of logits, apart from any model: log-sum-exp, negative log-likelihood and
// KL divergence. Everything is in double with a fixed order of summation, so a row's result depends on nothing else.
#pragma once
#include <cstdint>

namespace octavo {

// log(sum(exp(logits))) with a relative error of the sum below 1e-13. NaN if a logit is NaN or infinite.
double log_sum_exp(const float* logits /* [vocab] */, int64_t vocab);

// -log softmax(logits)[target], in nats. NaN if a logit is not finite.
double nll_row(const float* logits /* [vocab] */, int64_t vocab, int64_t target);

struct KlRow {
  double kl = 0;                            // KL(reference || model) in nats, >= 0; NaN if a logit is not finite
  double nll_model = 0, nll_reference = 0;  // of the true token
  double dp = 0;                            // p_model(true token) - p_reference(true token)
  bool same_top = false;                    // both have their largest logit at the same token (the first, if several)
};
KlRow kl_row(const float* reference /* [vocab] */, const float* model /* [vocab] */, int64_t vocab, int64_t target);

}  // namespace octavo
