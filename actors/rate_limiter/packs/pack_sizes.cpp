#include "actors/rate_limiter/packs/pack_sizes.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

// A window of a minute gives so much of it in two seconds.
constexpr std::uint64_t part_of_minute = 30;

// At an endpoint, while it takes up one call at least.
constexpr std::uint32_t beside_a_trial = 4;

// How many of so many calls; 0 = any number.
std::uint32_t others(std::uint32_t calls) {
  return calls == 0 ? beside_a_trial : std::min(calls - 1, beside_a_trial);
}

} // namespace

std::uint32_t most_proved(const std::vector<Endpoint*>& endpoints) {
  std::uint32_t most = 0;
  for (const Endpoint* endpoint : endpoints)
    most = std::max(most, endpoint->account->packs().proved());
  return most;
}

PackSize pack_size_of(const std::vector<Endpoint*>& endpoints, std::uint32_t in_flight_max,
                      const PackSize& last, Time now) {
  PackSize size{last.model, 0, 0, 0};
  bool any = false;
  for (const Endpoint* endpoint : endpoints) {
    const Account& account = *endpoint->account;
    if (const std::uint64_t rate = account.limits().tokens_per_minute; rate != 0) {
      const std::uint64_t gives = std::max<std::uint64_t>(rate / part_of_minute, 1);
      size.tokens = size.tokens == 0 ? gives : std::min(size.tokens, gives);
    }
    if (account.health().hold().refuses(now)) continue;
    any = true;
    size.beside += others(account.slots());
    const PackLimit& limit = account.packs();
    if (!limit.is_known()) continue;
    if (size.most == 0 || limit.proved() < size.most) {
      size.most = limit.proved();
      size.trial = limit.next(now);
    } else if (limit.proved() == size.most) {
      size.trial = std::max(size.trial, limit.next(now));
    }
  }
  if (!any) { // of those that are there
    size.most = last.most;
    size.trial = last.trial;
  } else if (size.most == 0) { // nothing is known of them
    size.most = 1;
    size.trial = pack_first;
  }
  if (in_flight_max != 0) size.beside = std::min(size.beside, in_flight_max - 1);
  return size;
}

std::vector<PackNews> PackSizes::news(const Look& look, Time now) {
  std::vector<PackNews> news;
  if (told_.empty() || (!is_due_ && now < looked_at_ + look_every)) return news;
  is_due_ = false;
  looked_at_ = now;
  for (auto& [job, models] : told_)
    for (auto& [model, told] : models) {
      const Of of = look(job, model);
      PackSize size = pack_size_of(of.endpoints, of.in_flight_max, told, now);
      if (size == told) continue;
      told = size;
      news.push_back({job, std::move(size)});
    }
  return news;
}

std::size_t PackSizes::size() const {
  std::size_t all = 0;
  for (const auto& [job, models] : told_) all += models.size();
  return all;
}

} // namespace gristmill::rate_limiter
