// ENDPOINT REPORTS: what the ends of its calls, and the page of its server's queue, say of an
// endpoint: handed on to its account, and kept here as far as it outlives the account (how many
// calls the server takes up) or somebody may act upon it (its credit is used up). Invariant: what a
// worker found out by itself is nothing that the endpoint has said.
#pragma once

#include "actors/rate_limiter/account.hpp"
#include "actors/rate_limiter/account_directory.hpp"
#include "actors/rate_limiter/concurrency/found_limits.hpp"
#include "actors/words/permits.hpp"
#include "protocol/job/outcome_class.hpp"

#include <set>
#include <string>
#include <vector>

namespace gristmill::rate_limiter {

class EndpointReports {
public:
  void recovered(const std::vector<journal::ConcurrencyNote>& notes) { found_.recovered(notes); }
  // Looks for the concurrency of an account's server from what was found before.
  void opened(Account& account, Time now);
  void gone(const Account& account) { found_.forget(account.name()); } // it will not come back

  struct Said {
    EndpointNews news = EndpointNews::none;
    bool refused = false; // it wants fewer calls, or fewer tokens, in a time
  };
  // A call was sent and has ended, or is lost; it is yet to be settled.
  Said ended(Account& account, const Charge& charge, const Ended& ended, Time now);
  // It was found to take another number of inputs in a call.
  void takes_inputs(const Account& account) {
    found_.heard_inputs(account.name(), account.packs().proved());
  }
  // … it was refused, and is settled.
  static void refused(Account& account, const Charge& charge, const Ended& ended, Time now);
  void queue_told(Account& account, const protocol::QueueReport& report, Time now);

  // Those whose credit is used up are asked at once whether it still is.
  void credit_may_be_back(const AccountDirectory& accounts);
  // How many calls servers take up, as was found since.
  std::vector<journal::ConcurrencyNote> notes() { return found_.notes(); }
  std::size_t size() const { return found_.size(); }

private:
  void look_at_found(Account& account);

  FoundLimits found_;
  std::set<std::string> without_credit_; // by name
};

} // namespace gristmill::rate_limiter
