// SAME REQUESTS: which parts of a job ask for what another one asks (--dedupe). The first of them
// leads: whether the job has the answer already is looked up, and if not it is called. The others
// follow, and take its answer from its line once that is durable. A leader that fails for a reason
// of its own has failed for all of them; after one that ends otherwise the next one leads. Nothing
// of it is durable but the answers: after a restart they are looked up anew.
// Invariant: of equal requests one at a time is looked up or called, but for those that an earlier
// life has called.
#pragma once

#include "actors/words/look_up.hpp"
#include "protocol/node/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::supervisor {

class SameRequests {
public:
  explicit SameRequests(bool is_on) : is_on_{is_on} {}
  bool is_on() const { return is_on_; }

  enum class Role : std::uint8_t {
    looks_up, // it leads from now on
    leads,
    follows,
  };
  // It would be called.
  Role comes(const PartId& part, const RequestKey& key);
  // Nothing was found; false: another one leads, and it follows.
  bool leads(const PartId& part, const RequestKey& key);
  // After a restart: it may be being called, and leads if nobody does; or its call is known to be.
  void expect(const PartId& part, const RequestKey& key);
  void is_called(const PartId& part, const RequestKey& key);
  // The answer is durable: those that may have followed. Nobody leads now.
  std::vector<PartId> take_followers(const RequestKey& key);
  bool is_led_by(const PartId& part, const RequestKey& key) const;
  // It leads no more. The next one that still follows leads now, if there is one.
  std::optional<PartId> next_leader(const RequestKey& key,
                                    const std::function<bool(const PartId&)>& follows);

  // All that may have followed end as their leader did, one after the other. Nobody leads now.
  struct LeadersEnd {
    protocol::Reply reply;
    std::string endpoint;
  };
  struct AlikeEnd {
    PartId part;
    std::shared_ptr<const LeadersEnd> as;
  };
  void end_alike(const RequestKey& key, LeadersEnd as);
  bool has_ends() const { return !ends_.empty(); }
  AlikeEnd take_end(); // if has_ends()

  // A few batches of look-ups are asked for at a time.
  void look_up(LookUp asked);
  std::vector<LookUp> take_look_ups();
  void looked_up(std::vector<LookUp> rest); // … and ended; these are asked for again
  // Whether more parts should come.
  bool has_room() const { return queued_.size() < queued_max && queued_bytes_ < queued_bytes_max; }

private:
  static constexpr std::size_t batches_max = 2, queued_max = 4'096, queued_bytes_max = 8u << 20;
  struct Flight {
    PartId leader;
    bool looked_up = false;            // and not found
    std::deque<PartId> followers = {}; // some may follow no more
  };

  bool is_on_;
  std::unordered_map<RequestKey, Flight> flights_;
  std::deque<AlikeEnd> ends_;
  std::deque<LookUp> queued_;
  std::size_t queued_bytes_ = 0;
  std::size_t looking_ = 0; // batches
};

} // namespace gristmill::supervisor
