#include "actors/rate_limiter/account.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr Duration confirmed_within = std::chrono::milliseconds{500};
constexpr Duration again_within = std::chrono::seconds{3};

bool is_of_earlier_life(const Charge& charge) {
  return charge.begun.at == Time{};
}

} // namespace

Account::Account(std::string name, const RateLimits& limits, Time now, Duration day)
    : name_{std::move(name)}, limits_{limits}, calls_{limits.requests_per_minute, now},
      tokens_{limits.tokens_per_minute, now},
      day_{limits.requests_per_day, limits.tokens_per_day, day}, blocks_{limits} {}

void Account::set_limits(const RateLimits& limits, Time now) {
  limits_ = limits;
  calls_.set_most(limits.requests_per_minute, now);
  tokens_.set_most(limits.tokens_per_minute, now);
  day_.set_most(limits.requests_per_day, limits.tokens_per_day);
  health_.set_most(limits.max_in_flight);
  blocks_.set_limits(limits);
  invariant();
}

void Account::advance(Time now) {
  calls_.advance(said_of(protocol::LimitHint::Name::requests), now);
  tokens_.advance(said_of(protocol::LimitHint::Name::tokens), now);
  day_.advance(now);
}

void Account::pace(Time now) {
  calls_.pace(said_of(protocol::LimitHint::Name::requests), now);
  tokens_.pace(said_of(protocol::LimitHint::Name::tokens), now);
}

double Account::said_of(protocol::LimitHint::Name name) const {
  return advertised_[static_cast<std::size_t>(name)].rate();
}

double Account::load(Time now) {
  advance(now);
  const auto share = [](std::uint64_t taken, std::uint64_t most) {
    return most == 0 ? 0 : static_cast<double>(taken) / static_cast<double>(most);
  };
  double most =
      std::max({share(in_flight_ + 1, slots() == 0 ? unlimited_slots : slots()),
                share(calls_.held() + 1, calls_.most()), share(tokens_.held(), tokens_.most())});
  for (const auto& part : {parts_.input, parts_.output})
    if (part) most = std::max(most, share(part->tokens_.held(now), part->tokens_.most()));
  return most;
}

double Account::part_of_minute(Tokens tokens) const {
  const auto part = [](double amount, std::uint64_t most) {
    return most == 0 ? 0.0 : amount / static_cast<double>(most);
  };
  const double most = std::max(part(1, calls_.per_minute()),
                               part(static_cast<double>(tokens.paced), tokens_.per_minute()));
  if (most > 0) return most;
  // Where only slots are scarce a job may be ahead by a quarter of them.
  return 4 * Turns::lead_max / (slots() == 0 ? unlimited_slots : slots());
}

WindowUse Account::used(Time now) {
  day_.advance(now);
  return {calls_.held(now), tokens_.held(now), day_.calls_held(), day_.tokens_held()};
}

EndpointStanding Account::standing(Time now) {
  EndpointStanding standing{limits_, in_flight_, slots(), 0, 0, {}};
  if (packs_.is_known()) standing.inputs = packs_.proved();
  standing.used = used(now);
  standing.queue = health_.queue(now);
  const auto parked = [&](Time until, WaitKind kind, std::string_view why) {
    standing.parked_ms = to_ms(until - now);
    standing.parked_for = kind;
    standing.why = why;
  };
  if (parked_.until > now)
    parked(parked_.until, WaitKind::cooldown, parked_.why);
  else if (const auto asked_at = health_.quota().refuses(now))
    parked(*asked_at, WaitKind::quota, info(WaitKind::quota).words);
  else if (const auto probed_at = health_.hold().refuses(now))
    parked(*probed_at, WaitKind::breaker, info(WaitKind::breaker).words);
  return standing;
}

bool Account::is_idle(Time now) {
  advance(now);
  return in_flight_ == 0 && calls_.held() == 0 && tokens_.held() == 0 && day_.is_empty() &&
         !blocks_.writing_since() && blocks_.until() <= now && parked_.until <= now;
}

Time Account::idle_at(Time now) const {
  Time at = std::max({now, calls_.newest(), tokens_.newest(), parked_.until, blocks_.until()});
  if (day_.limited()) at = std::max({at, day_.calls().newest(), day_.tokens().newest()});
  return at;
}

// A call whose reserve exceeds the whole window is charged the window: it goes alone.
Tokens Account::charged(Tokens tokens) const {
  std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  if (limits_.tokens_per_minute != 0) all = std::min(all, limits_.tokens_per_minute);
  if (limits_.tokens_per_day != 0) all = std::min(all, limits_.tokens_per_day);
  return {std::min(tokens.reserved, all), std::min(tokens.paced, all)};
}

std::optional<WaitReason> Account::limited(Tokens wanted, Time now) {
  advance(now);
  const Tokens tokens = charged(wanted);
  if (now < parked_.until)
    return WaitReason{.kind = WaitKind::cooldown,
                      .until = parked_.until,
                      .since = parked_.at,
                      .attempt = parked_.by,
                      .because = std::string{parked_.why}};
  if (const auto until = health_.quota().refuses(now))
    return WaitReason{.kind = WaitKind::quota, .until = *until};
  if (limits_.max_in_flight != 0 && in_flight_ >= limits_.max_in_flight)
    return WaitReason{.kind = WaitKind::calls_allowed,
                      .limit = limits_.max_in_flight,
                      .until = now + Turns::look_least};
  if (!health_.takes_another(in_flight_))
    return WaitReason{.kind = WaitKind::calls_taken_up,
                      .limit = slots(),
                      .learned = true,
                      .configured = limits_.max_in_flight,
                      .until = now + Turns::look_least};
  if (auto used_up = day_refuses(tokens.reserved, now)) return used_up;
  const auto of_minute = [](WaitKind kind, const MinuteLimit& limit, Time until) {
    return WaitReason{.kind = kind,
                      .limit = limit.per_minute(),
                      .learned = limit.is_learned(),
                      .configured = limit.most(),
                      .until = until};
  };
  if (const auto until = calls_.refuses(1, now))
    return of_minute(WaitKind::requests, calls_, *until);
  if (const auto until = tokens_.refuses(tokens, now))
    return of_minute(WaitKind::tokens, tokens_, *until);
  return std::nullopt;
}

// No smoother belongs to a day: what it allows goes as soon as it may.
std::optional<WaitReason> Account::day_refuses(std::uint64_t tokens, Time now) const {
  if (!day_.calls().fits(1))
    return WaitReason{.kind = WaitKind::day_requests,
                      .limit = limits_.requests_per_day,
                      .until = day_.calls().when_fits(1, now)};
  if (!day_.tokens().fits(tokens))
    return WaitReason{.kind = WaitKind::day_tokens,
                      .limit = limits_.tokens_per_day,
                      .until = day_.tokens().when_fits(tokens, now)};
  return std::nullopt;
}

std::optional<WaitReason> Account::refuses(Tokens wanted, Time now) {
  if (auto limit = limited(wanted, now)) return limit;
  return blocks_.refuses(charged(wanted).reserved, now);
}

bool Account::has_plenty(Tokens wanted, Time now) {
  if (!turns_.nobody_waits(now) || !health_.is_well() || day_.limited() || parts_.input ||
      parts_.output)
    return false;
  if (slots() != 0 && in_flight_ + 1 + (slots() + 3) / 4 > slots()) return false;
  return !refuses(wanted, now) && calls_.has_plenty(1) && tokens_.has_plenty(charged(wanted));
}

Charge Account::draw(Tokens wanted, Time now, Duration life) {
  const Tokens tokens = charged(wanted);
  const Time until = now + hold_of(defaults::minute_window, life);
  const BudgetBlocks::Drawn drawn = blocks_.draw(tokens.reserved);
  // Also what is not limited now: a stricter limit may come.
  const Charge charge{tokens,
                      drawn,
                      calls_.draw(1, until, now),
                      tokens_.draw(tokens, until, now),
                      day_.charge(tokens.reserved, life, now),
                      health_.begun(in_flight_, now)};
  ++in_flight_;
  invariant();
  return charge;
}

void Account::felt(const Charge& charge, const ServerHealth::End& end, Time now) {
  health_.ended(charge.begun, end, in_flight_, now);
  if (info(end.cls).news == EndpointNews::answered) confirm_refusal(charge, now);
  invariant();
}

void Account::advertised(const Charge& charge, const std::vector<protocol::LimitHint>& limits,
                         Time now) {
  if (is_of_earlier_life(charge)) return;
  for (const protocol::LimitHint& hint : limits) {
    AdvertisedLimit& limit = advertised_[static_cast<std::size_t>(hint.name)];
    limit.heard(hint, charge.begun.at, now);
    if (limit.held_until() > now)
      park(limit.held_until(), "the server says that its limit is used up");
  }
}

void Account::settle(const Charge& charge, std::optional<std::uint64_t> used, Time now) {
  if (in_flight_ > 0) --in_flight_;
  if (!used && mutated("settle_to_zero")) used = 0;
  if (!used) return;
  advance(now);
  tokens_.settle(charge.tokens, *used, charge.begun.at, charge.tokens_until, now);
  const std::uint64_t reserved = charge.tokens.reserved;
  if (*used <= reserved) {
    blocks_.give_back(reserved - *used, charge.drawn.block);
    day_.refund(0, reserved - *used, charge.day_until);
  } else {
    // What a call of an earlier life used lies in what that life had noted of its day.
    day_.charge_more(*used - reserved, charge.day_until);
    blocks_.charge_more(*used - reserved);
  }
  invariant();
}

void Account::refund(const Charge& charge, Time now) {
  settle(charge, 0, now);
  calls_.settle(1, 0, charge.begun.at, charge.calls_until, now);
  day_.refund(1, 0, charge.day_until);
}

void Account::refused(const Charge& charge, bool tokens, bool slowly, Time now) {
  if (is_of_earlier_life(charge)) return;
  calls_.not_taken(1, charge.begun.at);
  if (tokens) {
    tokens_.refused(static_cast<double>(charge.tokens.paced), charge.begun.at, slowly, now);
  } else {
    calls_.refused(1, charge.begun.at, slowly, now);
  }
  pace(now);
}

void Account::perhaps_refused(const Charge& charge, bool tokens, Time now) {
  if (is_of_earlier_life(charge)) return;
  const bool is_probe = charge.begun.hold.probe != 0; // and says that the server is still away
  if (is_probe || (in_question_ && now < in_question_->until))
    return calls_.not_taken(1, charge.begun.at);
  const Duration answer = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>{health_.answer_seconds(now)});
  in_question_ = {charge, tokens, now + confirmed_within + answer};
}

void Account::confirm_refusal(const Charge& answered, Time now) {
  if (!in_question_ || answered.begun.at < in_question_->charge.begun.at) return;
  const InQuestion refusal = *std::exchange(in_question_, std::nullopt);
  if (now >= refusal.until) return;
  const bool is_alone = now >= confirmed_until_;
  confirmed_until_ = now + again_within;
  if (is_alone && !(refusal.tokens ? tokens_ : calls_).is_learned())
    return calls_.not_taken(1, refusal.charge.begun.at);
  refused(refusal.charge, refusal.tokens, false, now);
}

std::optional<journal::BlockNote> Account::reserve(std::uint64_t number, Time now,
                                                   Duration commit_time) {
  const auto pace_of = [](const MinuteLimit& limit) {
    using Pace = BudgetBlocks::Allowance::Pace;
    return limit.limited() ? std::optional{Pace{limit.burst(), limit.per_second()}} : std::nullopt;
  };
  BudgetBlocks::Allowance allowed{
      .calls = pace_of(calls_), .tokens = pace_of(tokens_), .day_is_used_up = day_.is_used_up()};
  if (day_.calls().limited()) allowed.calls_of_day = day_.calls_ahead();
  if (day_.tokens().limited()) allowed.tokens_of_day = day_.tokens_ahead();
  auto note = blocks_.reserve(number, allowed, commit_time, now);
  if (!note) return std::nullopt;
  note->account = name_;
  day_.block_reserved();
  invariant();
  return note;
}

void Account::durable(std::uint64_t block) {
  blocks_.durable(block);
  invariant();
}

void Account::assume_spent(const journal::BlockNote& block, Time now) {
  const Time until = std::min(block.until, now) + defaults::block_hold;
  if (until <= now) return;
  calls_.assume_spent(block.calls, until);
  tokens_.assume_spent(block.tokens, until);
}

void Account::invariant() const {
  GRISTMILL_CHECK(
      calls_.most() == limits_.requests_per_minute && tokens_.most() == limits_.tokens_per_minute,
      "{}: expected {} calls and {} tokens a minute, got {} and {}", name_,
      limits_.requests_per_minute, limits_.tokens_per_minute, calls_.most(), tokens_.most());
  GRISTMILL_CHECK(day_.calls().amount_max() == limits_.requests_per_day &&
                      day_.tokens().amount_max() == limits_.tokens_per_day,
                  "{}: expected {} calls and {} tokens a day, got {} and {}", name_,
                  limits_.requests_per_day, limits_.tokens_per_day, day_.calls().amount_max(),
                  day_.tokens().amount_max());
  GRISTMILL_CHECK(limits_.max_in_flight == 0 || slots() <= limits_.max_in_flight,
                  "{}: expected at most {} slots, got {}", name_, limits_.max_in_flight, slots());
}

} // namespace gristmill::rate_limiter
