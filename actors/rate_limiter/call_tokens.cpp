#include "actors/rate_limiter/call_tokens.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

Tokens guess(const std::shared_ptr<TokenReserve>& learned, std::uint64_t bound,
             const Account& account) {
  return learned && !account.limits().strict_tokens ? learned->of(bound, account.in_flight())
                                                    : Tokens{bound};
}

Tokens operator+(const Tokens& a, std::uint64_t b) {
  return {a.reserved + b, a.paced + b};
}

} // namespace

TokenBound TokenBound::of(const AcquireCall& call) {
  return {call.token_bound, std::min(call.output_bound, call.token_bound)};
}

CallTokens tokens_of(const TokenLearners& learned, const Account& account,
                     const TokenBound& bound) {
  const bool reserved = account.limits().token_counting == TokenCounting::reserved;
  const Tokens input = guess(learned.input, bound.input(), account);
  return {reserved ? input + bound.output : guess(learned.all, bound.all, account), input,
          reserved ? Tokens{bound.output} : guess(learned.output, bound.output, account)};
}

bool never_fits(const RateLimits& limits, const TokenBound& bound) {
  const auto exceeds = [](std::uint64_t tokens, std::uint64_t most) {
    return most != 0 && tokens > most;
  };
  return limits.strict_tokens && (exceeds(bound.all, limits.tokens_per_minute) ||
                                  exceeds(bound.all, limits.tokens_per_day) ||
                                  exceeds(bound.input(), limits.input_tokens_per_minute) ||
                                  exceeds(bound.output, limits.output_tokens_per_minute));
}

UsedTokens used_tokens(const RateLimits& limits, const std::optional<protocol::Usage>& used,
                       const TokenBound& bound) {
  if (!used) return {};
  if (limits.token_counting == TokenCounting::usage)
    return {used->total(), used->prompt, used->completion};
  return {std::min(bound.all, used->prompt + bound.output), used->prompt, bound.output};
}

// Each is asked, so that the blocks of all are written together.
std::optional<WaitReason> refuses(Account& account, const CallTokens& tokens, Time now) {
  auto refusal = account.refuses(tokens.all, now);
  const auto ask = [&](Account* part, const Tokens& wanted) {
    if (part == nullptr) return;
    auto own = part->refuses(wanted, now);
    if (own && (!refusal || own->until > refusal->until)) refusal = std::move(own);
  };
  ask(account.parts().input.get(), tokens.input);
  ask(account.parts().output.get(), tokens.output);
  return refusal;
}

CallCharge draw(Account& account, const CallTokens& tokens, Time now, Duration life) {
  CallCharge charge{account.draw(tokens.all, now, life), {}, {}, account.parts()};
  if (const auto& part = charge.parts.input) charge.input = part->draw(tokens.input, now, life);
  if (const auto& part = charge.parts.output) charge.output = part->draw(tokens.output, now, life);
  return charge;
}

void settle(Account& account, const CallCharge& charge, const UsedTokens& used, Time now) {
  account.settle(charge.all, used.all, now);
  if (const auto& part = charge.parts.input) part->settle(charge.input, used.input, now);
  if (const auto& part = charge.parts.output) part->settle(charge.output, used.output, now);
}

void refund(Account& account, const CallCharge& charge, Time now) {
  account.refund(charge.all, now);
  if (const auto& part = charge.parts.input) part->refund(charge.input, now);
  if (const auto& part = charge.parts.output) part->refund(charge.output, now);
}

void learn(const TokenLearners& learned, const TokenBound& bound, const protocol::Usage& used,
           Duration took) {
  if (learned.all) learned.all->learn(bound.all, used.total(), took);
  if (learned.input) learned.input->learn(bound.input(), used.prompt, took);
  if (learned.output) learned.output->learn(bound.output, used.completion, took);
}

} // namespace gristmill::rate_limiter
