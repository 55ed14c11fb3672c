// PACK SIZES: what the jobs whose calls have several inputs are told of how many to take: of each
// model as many as all its endpoints have taken, and how many the next trial may have. Endpoints
// that are away, or of which nothing is known yet, hold nobody back. Invariant: a job is told of a
// size once.
#pragma once

#include "actors/rate_limiter/choice/endpoint_book.hpp"
#include "actors/words/pack_size.hpp"
#include "actors/words/permits.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gristmill::rate_limiter {

// Of a model that these endpoints serve, as they stand now, for a job that may have so many calls
// in flight (0 = any number). `last`: what was told before.
PackSize pack_size_of(const std::vector<Endpoint*>& endpoints, std::uint32_t in_flight_max,
                      const PackSize& last, Time now);
// The most that one of them has taken: another one may try as much.
std::uint32_t most_proved(const std::vector<Endpoint*>& endpoints);

class PackSizes {
public:
  static constexpr Duration look_every = std::chrono::seconds{1};

  // A job has a call of several inputs of this model.
  void asked(JobId job, const std::string& model) {
    is_due_ |= told_[job].try_emplace(model, PackSize{model}).second;
  }
  void closed(JobId job) { told_.erase(job); }
  void something_changed() { is_due_ = true; }
  // What is to be told now.
  struct Of {
    std::vector<Endpoint*> endpoints{};
    std::uint32_t in_flight_max = 0;
  };
  using Look = std::function<Of(JobId, const std::string& model)>;
  std::vector<PackNews> news(const Look& look, Time now);
  std::size_t size() const;

private:
  std::map<JobId, std::map<std::string, PackSize>> told_;
  bool is_due_ = false;
  Time looked_at_{Time::min()};
};

} // namespace gristmill::rate_limiter
