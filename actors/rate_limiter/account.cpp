#include "actors/rate_limiter/account.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

Duration minute_hold() {
  if (mutated("no_drift_margin"))
    return defaults::permit_life + defaults::minute_window + defaults::delay_margin;
  return defaults::hold_of(defaults::minute_window);
}

constexpr auto slot_retry = std::chrono::milliseconds{10};

double rate_of(std::uint64_t per_minute) {
  return static_cast<double>(per_minute) / to_seconds(minute_hold());
}

Smoother smoother(std::uint64_t per_minute, Time now) {
  const double rate = rate_of(per_minute);
  return {rate, rate * defaults::burst_seconds, now};
}

} // namespace

// How long a call counts whose permit lives so long.
Duration Account::hold_of(Duration window, Duration life) {
  if (mutated("no_drift_margin")) return life + window + defaults::delay_margin;
  return defaults::hold_of(window, life);
}

Account::Account(std::string name, RateLimits limits, Time now, Duration day)
    : name_{std::move(name)}, limits_{limits}, calls_window_{limits.requests_per_minute,
                                                             minute_hold()},
      tokens_window_{limits.tokens_per_minute, minute_hold()},
      calls_smoother_{smoother(limits.requests_per_minute, now)},
      tokens_smoother_{smoother(limits.tokens_per_minute, now)}, day_length_{day},
      day_{limits.requests_per_day, limits.tokens_per_day, defaults::hold_of(day)},
      life_{defaults::permit_life} {}

void Account::set_limits(const RateLimits& limits, Time now) {
  const auto slower = [&](Smoother& old, std::uint64_t per_minute, std::uint64_t before) {
    if (per_minute == before) return;
    old = smoother(per_minute, now);
    old.take(old.burst()); // whatever went before, at another rate
  };
  slower(calls_smoother_, limits.requests_per_minute, limits_.requests_per_minute);
  slower(tokens_smoother_, limits.tokens_per_minute, limits_.tokens_per_minute);
  calls_window_.set_amount_max(limits.requests_per_minute);
  tokens_window_.set_amount_max(limits.tokens_per_minute);
  day_.set_most(limits.requests_per_day, limits.tokens_per_day);
  limits_ = limits;
  if (concurrency_) concurrency_->set_most(limits.max_in_flight);
}

double Account::load(Time now) {
  advance(now);
  const auto share = [](std::uint64_t taken, std::uint64_t most) {
    return most == 0 ? 0 : static_cast<double>(taken) / static_cast<double>(most);
  };
  double most = std::max({share(in_flight_ + 1, slots() == 0 ? unlimited_slots : slots()),
                          share(calls_window_.held() + 1, limits_.requests_per_minute),
                          share(tokens_window_.held(), limits_.tokens_per_minute)});
  for (const auto& part : {parts_.input, parts_.output})
    if (part)
      most =
          std::max(most, share(part->used(now).tokens_per_minute, part->limits_.tokens_per_minute));
  return most;
}

bool Account::is_idle(Time now) {
  advance(now);
  return in_flight_ == 0 && calls_window_.held() == 0 && tokens_window_.held() == 0 &&
         day_.is_empty() && !next_ && (!block_ || block_->note.until <= now) &&
         parked_until_ <= now;
}

Time Account::idle_at(Time now) const {
  Time at = std::max({now, calls_window_.newest(), tokens_window_.newest(), parked_until_});
  if (day_.limited()) at = std::max({at, day_.calls().newest(), day_.tokens().newest()});
  return block_ ? std::max(at, block_->note.until) : at;
}

void Account::permit_came_too_late(Time now) {
  used_in_a_row_ = 0;
  // At most once within a life: permits that were issued together come back together.
  if (++unused_in_a_row_ < defaults::unused_permits_max || now < life_changed_at_ + life_) return;
  unused_in_a_row_ = 0;
  life_changed_at_ = now;
  life_ = std::min(2 * life_, defaults::permit_life_max);
}

void Account::permit_used() {
  unused_in_a_row_ = 0;
  if (++used_in_a_row_ < defaults::used_permits_min) return;
  used_in_a_row_ = 0;
  life_ = std::max(life_ / 2, defaults::permit_life);
}

void Account::advance(Time now) {
  calls_window_.advance(now);
  tokens_window_.advance(now);
  day_.advance(now);
  pace(now);
  calls_smoother_.advance(now);
  tokens_smoother_.advance(now);
}

WindowUse Account::used(Time now) {
  calls_window_.advance(now);
  tokens_window_.advance(now);
  day_.advance(now);
  return {calls_window_.held(), tokens_window_.held(), day_.calls_held(), day_.tokens_held()};
}

void Account::pace(Time now) {
  using Name = protocol::LimitHint::Name;
  const auto pace = [&](Smoother& smoother, LearnedRate& learned, std::uint64_t per_minute,
                        Name name) {
    const double configured = rate_of(per_minute);
    const double said = advertised_[static_cast<std::size_t>(name)].rate() *
                        to_seconds(defaults::minute_window) / to_seconds(minute_hold());
    const double most = configured == 0 || (said > 0 && said < configured) ? said : configured;
    learned.advance(most, now);
    const double rate = learned.rate() == 0 ? most : learned.rate();
    if (rate != smoother.rate()) smoother.set_rate(rate, rate * defaults::burst_seconds, now);
  };
  pace(calls_smoother_, calls_rate_, limits_.requests_per_minute, Name::requests);
  pace(tokens_smoother_, tokens_rate_, limits_.tokens_per_minute, Name::tokens);
}

void Account::refused(const Charge& charge, bool tokens, bool slowly, Time now) {
  if (charge.drawn_at == Time{}) return; // a call of an earlier life of ours
  calls_rate_.corrected(-1, charge.drawn_at);
  if (tokens) {
    tokens_rate_.refused(static_cast<double>(charge.tokens.paced), charge.drawn_at,
                         tokens_smoother_.rate(), slowly, now);
  } else {
    calls_rate_.refused(1, charge.drawn_at, calls_smoother_.rate(), slowly, now);
  }
  pace(now);
}

void Account::perhaps_refused(const Charge& charge, bool tokens, Time now) {
  if (charge.drawn_at == Time{}) return;         // a call of an earlier life of ours
  const bool is_probe = charge.begun.probe != 0; // and says that the server is still away
  if (is_probe || (in_question_ && now < in_question_->until))
    return calls_rate_.corrected(-1, charge.drawn_at);
  const Duration answer = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>{answer_time_.seconds(now)});
  in_question_ = {charge, tokens, now + confirmed_within + answer};
}

void Account::confirm_refusal(const Charge& answered, Time now) {
  if (!in_question_ || answered.drawn_at < in_question_->charge.drawn_at) return;
  const InQuestion refusal = *std::exchange(in_question_, std::nullopt);
  if (now < refusal.until) refused(refusal.charge, refusal.tokens, false, now);
}

void Account::advertised(const Charge& charge, const std::vector<protocol::LimitHint>& limits,
                         Time now) {
  if (charge.drawn_at == Time{}) return; // a call of an earlier life of ours
  for (const protocol::LimitHint& hint : limits) {
    AdvertisedLimit& limit = advertised_[static_cast<std::size_t>(hint.name)];
    limit.heard(hint, charge.drawn_at, now);
    if (limit.held_until() > now)
      park(limit.held_until(), "the server says that its limit is used up");
  }
}

// A call whose reserve exceeds the whole window is charged the window: it goes alone.
Tokens Account::charged(Tokens tokens) const {
  if (!counts_tokens()) return tokens;
  std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  if (limits_.tokens_per_minute != 0) all = std::min(all, limits_.tokens_per_minute);
  if (limits_.tokens_per_day != 0) all = std::min(all, limits_.tokens_per_day);
  return {std::min(tokens.reserved, all), std::min(tokens.paced, all)};
}

// The most calls or tokens a minute that may begin: as configured, or as refusals tell.
std::uint64_t Account::per_minute(std::uint64_t configured, const LearnedRate& learned) const {
  if (learned.rate() == 0) return configured;
  return static_cast<std::uint64_t>(learned.rate() * to_seconds(minute_hold()));
}

double Account::part_of_minute(Tokens tokens) const {
  const auto part = [](double amount, std::uint64_t most) {
    return most == 0 ? 0.0 : amount / static_cast<double>(most);
  };
  const double most = std::max(
      part(1, per_minute(limits_.requests_per_minute, calls_rate_)),
      part(static_cast<double>(tokens.paced), per_minute(limits_.tokens_per_minute, tokens_rate_)));
  if (most > 0) return most;
  // Where only slots are scarce a job may be ahead by a quarter of them.
  return 4 * Turns::lead_max / (slots() == 0 ? unlimited_slots : slots());
}

std::optional<WaitReason> Account::limited(Tokens wanted, Time now) {
  advance(now);
  const auto [tokens, paced] = charged(wanted);
  if (now < parked_until_)
    return WaitReason{.kind = WaitKind::cooldown,
                      .until = parked_until_,
                      .since = parked_at_,
                      .attempt = parked_by_,
                      .because = std::string{parked_why_}};
  if (const auto until = quota_.refuses(now))
    return WaitReason{.kind = WaitKind::quota, .until = *until};
  if (limits_.max_in_flight != 0 && in_flight_ >= limits_.max_in_flight)
    return WaitReason{
        .kind = WaitKind::calls_allowed, .limit = limits_.max_in_flight, .until = now + slot_retry};
  if (concurrency_ && !concurrency_->allows(in_flight_))
    return WaitReason{.kind = WaitKind::calls_taken_up,
                      .limit = concurrency_->limit(),
                      .learned = true,
                      .configured = limits_.max_in_flight,
                      .until = now + slot_retry};
  if (auto used_up = day_refuses(tokens, now)) return used_up;
  const auto of_minute = [&](WaitKind kind, std::uint64_t configured, const LearnedRate& learned,
                             Time until) {
    return WaitReason{.kind = kind,
                      .limit = per_minute(configured, learned),
                      .learned = learned.rate() != 0,
                      .configured = configured,
                      .until = until};
  };
  const auto of_requests = [&](Time until) {
    return of_minute(WaitKind::requests, limits_.requests_per_minute, calls_rate_, until);
  };
  if (!calls_window_.fits(1)) return of_requests(calls_window_.when_fits(1, now));
  if (!calls_smoother_.fits(1)) return of_requests(calls_smoother_.when_fits(1, now));
  const auto of_tokens = [&](Time until) {
    return of_minute(WaitKind::tokens, limits_.tokens_per_minute, tokens_rate_, until);
  };
  if (!tokens_window_.fits(tokens)) return of_tokens(tokens_window_.when_fits(tokens, now));
  const auto amount = static_cast<double>(paced);
  if (!tokens_smoother_.fits(amount)) return of_tokens(tokens_smoother_.when_fits(amount, now));
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
  const std::uint64_t tokens = charged(wanted).reserved;
  if (covers(tokens, now)) return std::nullopt;
  wanted_ = true;
  tokens_wanted_ = std::max(tokens_wanted_, tokens);
  return WaitReason{.kind = WaitKind::journal,
                    .until = now + block_retry,
                    .since = writing_since().value_or(now)};
}

Charge Account::draw(Tokens wanted, Time now, std::uint64_t& n, Duration life) {
  GRISTMILL_CHECK(!needs_blocks() || (block_ && block_->drawn_calls < block_->note.calls),
                  "{}: no block", name_);
  const Tokens tokens = charged(wanted);
  const Time until = now + hold_of(defaults::minute_window, life);
  // Also what is not limited now: a stricter limit may come.
  const Charge charge{tokens,
                      now,
                      calls_window_.charge_until(1, until),
                      tokens_window_.charge_until(tokens.reserved, until),
                      day_.charge(tokens.reserved, now + hold_of(day_length_, life)),
                      concurrency_ ? concurrency_->begun(now) : Flight{},
                      block(),
                      in_flight_ + 1,
                      hold_.begun(now)};
  calls_smoother_.take(1);
  tokens_smoother_.take(static_cast<double>(tokens.paced));
  calls_rate_.sent(1, now);
  tokens_rate_.sent(static_cast<double>(tokens.paced), now);
  quota_.begun();
  if (block_) {
    block_->drawn_tokens += tokens.reserved;
    n = ++block_->drawn_calls;
  }
  ++in_flight_;
  return charge;
}

void Account::felt(const Charge& charge, const End& end, Time now) {
  const OutcomeClass cls = end.cls;
  quota_.ended(cls, charge.drawn_at, now);
  // Answers whose beginning the server knew come sooner: only those of one kind are compared, or
  // each new beginning would look like a queue.
  const bool of_the_many = end.from_cache == (from_cache_ > 0.5);
  if (cls == OutcomeClass::ok) from_cache_ += ((end.from_cache ? 1 : 0) - from_cache_) / 32;
  if (cls == OutcomeClass::ok) answer_time_.heard(end.latency, now);
  const EndpointNews news = info(cls).news;
  const bool is_probe = charge.begun.probe != 0, was_held = hold_.is_held();
  if (news == EndpointNews::answered || (news == EndpointNews::full && !is_probe))
    full_ += ((news == EndpointNews::full ? 1 : 0) - full_) / 32;
  switch (news) {
  case EndpointNews::failed:
  case EndpointNews::away:
  case EndpointNews::full: hold_.failed({charge.begun, end.latency, end.told}, news, now); break;
  case EndpointNews::none: hold_.ended_otherwise(charge.begun, end.unstarted); break;
  case EndpointNews::refuses: hold_.release(); break;
  case EndpointNews::answered:
    hold_.answered();
    confirm_refusal(charge, now);
    most_answered_ = std::max(most_answered_, charge.place);
  }
  if (!concurrency_) return;
  if (cls == OutcomeClass::unreachable && hold_.is_held() && !was_held)
    concurrency_->went_down(in_flight_ + static_cast<std::uint32_t>(hold_.faults()) - 1, now);
  if (fails_at_once(cls, end.latency, now))
    return concurrency_->ended_otherwise(charge.flight, now);
  // A probe is alone, and one such end among many answers may be its item's: neither says how many
  // calls the server takes up.
  if (news == EndpointNews::full && !is_probe && full_ > seldom_full)
    return concurrency_->overloaded(now);
  switch (cls) {
  case OutcomeClass::ok:
    if (!of_the_many) return concurrency_->ended_otherwise(charge.flight, now);
    return concurrency_->answered(charge.flight, end.latency, now);
  case OutcomeClass::timeout: return concurrency_->timed_out(charge.flight, now);
  default: return concurrency_->ended_otherwise(charge.flight, now);
  }
}

void Account::settle(const Charge& charge, std::optional<std::uint64_t> used, Time now) {
  if (in_flight_ > 0) --in_flight_;
  if (!used && mutated("settle_to_zero")) used = 0;
  if (!used) return;
  advance(now);
  const auto [reserved, paced] = charge.tokens;
  if (charge.drawn_at != Time{})
    tokens_rate_.corrected(static_cast<double>(*used) - static_cast<double>(paced),
                           charge.drawn_at);
  if (*used > paced) {
    tokens_smoother_.take(static_cast<double>(*used - paced));
  } else {
    tokens_smoother_.give_back(static_cast<double>(paced - *used), charge.drawn_at);
  }
  if (*used <= reserved) {
    tokens_window_.refund(reserved - *used, charge.tokens_until);
    not_drawn(reserved - *used, charge.block);
    return day_.refund(0, reserved - *used, charge.day_until);
  }
  // The excess is a debt, to the second in which the call began.
  const std::uint64_t excess = *used - reserved;
  tokens_window_.charge_until(excess, charge.tokens_until > now ? charge.tokens_until
                                                                : now + minute_hold());
  // What a call of an earlier life used lies in what that life had noted of its day.
  day_.charge_more(excess, charge.day_until);
  if (block_) block_->drawn_tokens += excess;
}

void Account::refund(const Charge& charge, Time now) {
  settle(charge, 0, now);
  calls_window_.refund(1, charge.calls_until);
  day_.refund(1, 0, charge.day_until);
  calls_smoother_.give_back(1, charge.drawn_at);
  if (charge.drawn_at != Time{}) calls_rate_.corrected(-1, charge.drawn_at);
}

} // namespace gristmill::rate_limiter
