#include "actors/wiring/coordinator_node.hpp"

#include "actors/kit/check.hpp"
#include "actors/wiring/coordinator_room.hpp"
#include "actors/wiring/rooms.hpp"

#include <utility>

namespace gristmill::wiring {

std::string name_of(const Address& address) {
  static constexpr std::string_view names[]{"coordinator", "rate_limiter", "journal", "joiner",
                                            "supervisor",  "merger",       "gateway", "store",
                                            "cache",       "shared",       "client"};
  std::string name{names[static_cast<std::size_t>(address.recipient)]};
  return address.job ? name + "/" + to_string(address.job) : name;
}

CoordinatorNode::CoordinatorNode(NodeOptions options, journal::Recovered recovered)
    : options_{std::move(options)}, epoch_{recovered.epoch}, last_{recovered.last_position} {
  // Each room is given what it alone needs, and nothing of it stays here.
  journal::Recovered of_limiter;
  of_limiter.epoch = recovered.epoch;
  of_limiter.same_boot = recovered.same_boot;
  of_limiter.blocks = std::exchange(recovered.blocks, {});
  of_limiter.days = std::exchange(recovered.days, {});
  of_limiter.concurrency = std::exchange(recovered.concurrency, {});
  of_limiter_ = std::move(of_limiter);
  of_coordinator_ = std::move(recovered);
}

std::vector<Address> CoordinatorNode::shared_rooms() {
  return {to_journal, to_limiter, to_joiner, to_coordinator};
}

std::unique_ptr<Room> CoordinatorNode::make_room(const Address& address, const Moment& moment) {
  switch (address.recipient) {
  case Recipient::coordinator:
    return std::make_unique<CoordinatorRoom>(options_, std::exchange(of_coordinator_, {}),
                                             moment.now);
  case Recipient::rate_limiter:
    return std::make_unique<LimiterRoom>(std::exchange(of_limiter_, {}), moment.now, options_.pools,
                                         options_.day);
  case Recipient::journal:
    // Workers keep an outcome until it is durable. Where they die with us, nothing that is answered
    // waits for the disk but as long as the disk takes.
    return std::make_unique<JournalRoom>(last_,
                                         options_.workers_died ? Duration{} : outcomes_gather);
  case Recipient::joiner: return std::make_unique<JoinerRoom>(options_.lines);
  case Recipient::supervisor:
    return std::make_unique<SupervisorRoom>(address.job, epoch_, options_);
  case Recipient::merger: return std::make_unique<MergerRoom>(address.job, options_);
  default: break;
  }
  throw CheckFailed{"no room has the address " + name_of(address)};
}

} // namespace gristmill::wiring
