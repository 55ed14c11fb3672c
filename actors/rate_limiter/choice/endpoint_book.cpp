#include "actors/rate_limiter/choice/endpoint_book.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {

std::string account_name(const EndpointOffer& offer) {
  const EndpointSpec& e = offer.endpoint;
  const std::string key = e.api_key_env.empty() ? e.api_key_file : e.api_key_env;
  // An announced endpoint is its worker's own: the same URL elsewhere is another server.
  if (offer.only) return fmt::format("endpoint:{}|{}|{}", e.url, key, offer.id.value);
  return fmt::format("endpoint:{}|{}", e.url, key);
}

std::shared_ptr<Account> EndpointBook::add(EndpointOffer offer, std::shared_ptr<Account> account,
                                           const RateLimits& limits) {
  auto before = remove(offer.id);
  const EndpointId id = offer.id;
  if (!offer.model.empty()) {
    if (offer.only) {
      announced_[offer.only].insert(id);
    } else {
      shared_[offer.model].insert(id);
    }
    ++served_[offer.model];
  }
  ++stated_[account.get()][limits];
  endpoints_[id] = {std::move(offer), std::move(account), limits, 0};
  return before;
}

std::shared_ptr<Account> EndpointBook::remove(EndpointId id) {
  const auto it = endpoints_.find(id);
  if (it == endpoints_.end()) return nullptr;
  const Endpoint gone = std::move(it->second);
  endpoints_.erase(it);
  const auto leave = [id](auto& sets, const auto& key) {
    const auto of_key = sets.find(key);
    if (of_key == sets.end()) return;
    of_key->second.erase(id);
    if (of_key->second.empty()) sets.erase(of_key);
  };
  const auto stated = stated_.find(gone.account.get());
  if (--stated->second[gone.limits] == 0) stated->second.erase(gone.limits);
  if (stated->second.empty()) stated_.erase(stated);
  if (const std::string& model = gone.offer.model; !model.empty()) {
    leave(announced_, gone.offer.only);
    if (!gone.offer.only) leave(shared_, model);
    if (--served_[model] == 0) served_.erase(model);
  }
  return gone.account;
}

std::optional<RateLimits> EndpointBook::strictest(const Account& account) const {
  const auto it = stated_.find(&account);
  if (it == stated_.end()) return std::nullopt;
  RateLimits strictest = it->second.begin()->first;
  for (const auto& [limits, endpoints] : it->second) strictest = stricter(strictest, limits);
  return strictest;
}

Endpoint* EndpointBook::find(EndpointId id) {
  const auto it = endpoints_.find(id);
  return it == endpoints_.end() ? nullptr : &it->second;
}

std::vector<Endpoint*> EndpointBook::serving(const std::string& model, SessionId session) {
  std::vector<Endpoint*> serving;
  if (const auto shared = shared_.find(model); shared != shared_.end())
    for (const EndpointId id : shared->second) serving.push_back(&endpoints_.at(id));
  if (const auto announced = announced_.find(session); announced != announced_.end())
    for (const EndpointId id : announced->second)
      if (Endpoint& endpoint = endpoints_.at(id); endpoint.offer.model == model)
        serving.push_back(&endpoint);
  std::sort(serving.begin(), serving.end(),
            [](const Endpoint* a, const Endpoint* b) { return a->offer.id < b->offer.id; });
  return serving;
}

std::vector<Endpoint*> EndpointBook::serving(const std::string& model) {
  std::vector<Endpoint*> serving;
  for (auto& [id, endpoint] : endpoints_)
    if (endpoint.offer.model == model) serving.push_back(&endpoint);
  return serving;
}

} // namespace gristmill::rate_limiter
