// CALL TOKENS: what a call takes of an endpoint's tokens: of the window of all, and of those of
// input and output where they are counted by themselves. How that is guessed before the call, and
// settled after it, depends on how the provider counts:
//
//   usage     what the answer reports; before that, what calls like it have used
//   reserved  the prompt's tokens and all that the answer might have had, whatever it has
//   strict    before the call always the bound, which nothing exceeds
//
// Invariant: nothing takes more than the call's bound before it has ended.
#pragma once

#include "actors/rate_limiter/account.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"
#include "actors/words/permits.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

namespace gristmill::rate_limiter {

// The most that a call may use: of all, and the part of it that the answer may have.
struct TokenBound {
  std::uint64_t all = 0, output = 0;
  std::uint64_t input() const { return all - output; }
  static TokenBound of(const AcquireCall& call);
};

struct CallTokens {
  Tokens all, input, output;
};

// What calls of a job to a model have taught; each nullptr while there is nothing.
struct TokenLearners {
  std::shared_ptr<TokenReserve> all{}, input{}, output{};
};

// What a call takes of one account's tokens as it is asked for; a job's own has no other windows.
CallTokens tokens_of(const TokenLearners& learned, const Account& account, const TokenBound& bound);

// Where nothing but the bound counts, a call whose bound exceeds a whole window never goes.
bool never_fits(const RateLimits& limits, const TokenBound& bound);

// What the call has taken, as the account's provider counts; nothing: as much as was drawn.
struct UsedTokens {
  std::optional<std::uint64_t> all{}, input{}, output{};
};
// `used`: what the answer reports, if it does.
UsedTokens used_tokens(const RateLimits& limits, const std::optional<protocol::Usage>& used,
                       const TokenBound& bound);

// As of one account, of the account and its parts: all refuse, are drawn from and settled, or none.
std::optional<WaitReason> refuses(Account& account, const CallTokens& tokens, Time now);
struct CallCharge {
  Charge all{}, input{}, output{};
  Account::Parts parts{}; // that were drawn from
};
CallCharge draw(Account& account, const CallTokens& tokens, Time now, Duration life);
void settle(Account& account, const CallCharge& charge, const UsedTokens& used, Time now);
void refund(Account& account, const CallCharge& charge, Time now);

// An answered call teaches those that there are.
void learn(const TokenLearners& learned, const TokenBound& bound, const protocol::Usage& used,
           Duration took);

} // namespace gristmill::rate_limiter
