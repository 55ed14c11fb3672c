// ENDPOINT BOOK: which endpoints there are, and which of them a call may use. A pool's endpoint is
// for every worker, an announced one for its worker's session, one without a model for the jobs
// that name it. Invariant: what a call may use is found by model and session, not by a look at
// every endpoint of the cluster, and always in the same order.
#pragma once

#include "actors/rate_limiter/account.hpp"
#include "actors/words/permits.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

struct Endpoint {
  EndpointOffer offer;
  std::shared_ptr<Account> account;
  RateLimits limits;           // that its offer states
  std::uint64_t chosen_at = 0; // number of the last choice that fell on it
};

// Endpoints with equal names of their accounts draw from one.
std::string account_name(const EndpointOffer& offer);

class EndpointBook {
public:
  // Replaces an endpoint of the same id; returns what was there.
  std::shared_ptr<Account> add(EndpointOffer offer, std::shared_ptr<Account> account,
                               const RateLimits& limits);
  std::shared_ptr<Account> remove(EndpointId id); // nullptr when there is none
  Endpoint* find(EndpointId id);
  const std::map<EndpointId, Endpoint>& all() const { return endpoints_; }

  // Those that the session may use for a call of `model`, lowest id first.
  std::vector<Endpoint*> serving(const std::string& model, SessionId session);
  // Those that any session may use for one.
  std::vector<Endpoint*> serving(const std::string& model);
  // Several may name one URL and key, each with limits of its own: the strictest of them hold.
  // Nothing: no endpoint names that account.
  std::optional<RateLimits> strictest(const Account& account) const;
  // How many endpoints serve each model, of pools and announced.
  const std::map<std::string, std::size_t>& served() const { return served_; }
  // Entries of all that it looks up by.
  std::size_t size() const {
    return endpoints_.size() + shared_.size() + announced_.size() + served_.size();
  }

private:
  std::map<EndpointId, Endpoint> endpoints_;
  std::map<std::string, std::set<EndpointId>> shared_; // by model
  std::map<SessionId, std::set<EndpointId>> announced_;
  std::map<std::string, std::size_t> served_;
  // What the endpoints that name an account state, and how many of them each.
  std::unordered_map<const Account*, std::map<RateLimits, std::size_t>> stated_;
};

} // namespace gristmill::rate_limiter
