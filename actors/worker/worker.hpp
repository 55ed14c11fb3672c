// WORKER: one per worker node. Holds calls ahead, asks for permits, makes the calls, keeps what
// they brought until it is recorded.
//   hears  frames from the coordinator through LINK, and whether the link is up
//          Ended  from MODEL CLIENT: calls that came to their end, pages that were read
//   tells  the coordinator through LINK; MODEL CLIENT to start and to abort calls, to read pages
//   never  retries, knows a rate, or sends a call whose permit is older than its life
// Invariant: a call is held, in flight, or its outcome is in the outbox; never two of them. As long
// as it has a permit to spare no slot is empty.
#pragma once

#include "actors/kit/event.hpp"
#include "actors/kit/sizes.hpp"
#include "actors/worker/held_calls.hpp"
#include "actors/worker/key_rules.hpp"
#include "actors/worker/model_client.hpp"
#include "actors/worker/outbox.hpp"
#include "actors/worker/queue_watch.hpp"
#include "actors/worker/shared_texts.hpp"
#include "actors/worker/spare_permits.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/node/grammar.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/node/speech.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/openai/schema/answer_schema.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::worker {

struct Options {
  std::string cluster;
  std::string name;
  Nonce process;
  protocol::Capacity capacity;
  std::vector<protocol::AnnouncedEndpoint> endpoints;
  Duration drain_timeout{};
  KeyRules keys; // of endpoints that it does not announce
  Duration ask_ahead = defaults::ask_ahead;
  Duration outcomes_wait_most = defaults::outcomes_wait_most;
  bool has_shared = false; // directory, which the coordinator may share
  // Of a user's own command: also at endpoints of jobs it looks for pages, in our network.
  bool reads_pages_of_jobs = false;
};

struct Effects {
  std::vector<std::string> frames; // LINK
  std::vector<HttpCall> starts;    // MODEL CLIENT
  std::vector<AttemptId> aborts;
  std::vector<PageRead> reads;
  std::optional<SharedTask> proves; // SHARED STORE, in this order
  std::vector<BodyToStore> stores;
  std::vector<TextsToLoad> loads;
  bool welcome = false;  // a session has begun
  bool finished = false; // drained: nothing is left to do
  std::string refused;   // the coordinator will not have us; a sentence
  std::vector<Event> events;
};

class Worker {
public:
  explicit Worker(Options options) : options_{std::move(options)}, spares_{options_.ask_ahead} {}

  Effects link_up(Time now);
  Effects link_down(std::string why, Time now);
  Effects received(std::string_view bytes, Time now);
  Effects ended(std::vector<CallEnded> calls, std::int64_t unix_now, Time now);
  Effects read(const std::vector<PageEnded>& pages, Time now);
  Effects proved(ProvedShared proved);
  Effects stored(std::vector<BodyStored> bodies, Time now);
  Effects loaded(std::vector<TextsLoaded> calls, Time now);
  Effects drain(Time now);
  Effects tick(Time now);
  Time wake_at() const;

  std::size_t held() const { return held_.size(); }
  std::size_t held_bytes() const { return held_.bytes(); }
  std::size_t in_flight() const { return in_flight_.size(); }
  std::size_t unrecorded() const { return outbox_.size(); }
  std::size_t jobs_known() const { return jobs_.size(); }
  void measure(Sizes& sizes) const;

private:
  struct Job {
    JobSpec spec;
    openai::CallForms forms;
    std::shared_ptr<const openai::AnswerSchema> schema; // that answers have to fit
    std::unordered_map<EndpointId, protocol::EndpointEntry> endpoints;
    bool by_reference = false;
  };
  struct InFlight {
    protocol::Claim claim;
    openai::Asked asked;
    std::string model;
    std::vector<std::uint64_t> lengths = {}; // of its inputs, if it has several parts
  };
  enum class State : std::uint8_t { down, greeting, active };

  void say_hello(Time now, Effects& effects);
  void act_on(protocol::Frame& frame, Time now, Effects& effects);
  void act_on(protocol::Message& message, Time now, Effects& effects);
  void handle(const protocol::Welcome& welcome, Time now, Effects& effects);
  void handle(const protocol::Refused& refused, Time now, Effects& effects);
  void handle(const protocol::JobOpened& opened, Effects& effects);
  void handle(protocol::Batch& batch, Effects& effects);
  void handle(const protocol::Permits& permits, Time now, Effects& effects);
  void handle(const protocol::Wait& wait, Time now);
  void handle(const protocol::Recorded& recorded);
  void handle(const protocol::Cancel& cancel, Effects& effects);

  void start(const protocol::Permit& permit, Time not_after, Time now, Effects& effects);
  void start_spares(Time now, Effects& effects);
  void forget_permits();
  protocol::Outcome outcome_of(const InFlight& call, CallEnded ended, std::int64_t unix_now) const;
  void deliver(std::vector<protocol::Outcome> outcomes, Time now, Effects& effects);
  bool store(const protocol::Outcome& outcome, Effects& effects);
  void give_up_sharing(const std::string& why, Effects& effects);
  void gather(const protocol::Outcome& outcome, Time now);
  bool may_gather(Time now) const;
  void say_gathered();
  void say_outcomes(std::vector<const protocol::Outcome*> outcomes);
  void ask(Time now, Effects& effects);
  void begin_drain(Time now, Effects& effects);
  void return_held();
  void give_back(protocol::Returned unstarted);
  void settle_drain(Effects& effects);
  void finish(Effects& effects);
  void watch_queues(Time now, Effects& effects);
  void beat(std::vector<protocol::QueueReport> queues);
  void say(protocol::Message message);
  // At the end of an event: what is to be asked and told now, and all that was said.
  void speak(Time now, Effects& effects);
  void leave(Effects& effects); // all that was said
  protocol::Capacity capacity() const;
  // An endpoint and the model that its pool is of; no spec: we know of none.
  struct Served {
    const EndpointSpec* spec = nullptr;
    std::string_view model; // empty: the job's own, of no pool
    KeyRules::Of of = KeyRules::Of::job;
  };
  Served endpoint(const Job& job, EndpointId id) const;
  std::optional<QueuePage> page_of(const Served& where, const std::string& model) const;

  Options options_;
  State state_ = State::down;
  protocol::Grammar grammar_{protocol::Direction::from_coordinator, Epoch{}};
  protocol::Speech speech_;
  std::size_t outcome_bytes_said_ = 0; // that have not left
  std::uint64_t next_nonce_ = 1;
  Duration heartbeat_{};
  std::uint64_t outcome_window_bytes_ = 0;
  std::uint32_t hellos_ = 0;
  Duration hello_repeat_{}; // without a Welcome
  Time hello_at_{}, heartbeat_at_{never}, drain_ends_{never};
  bool draining_ = false, finished_ = false;
  std::string down_why_, full_why_;

  std::map<JobId, Job> jobs_;
  std::unordered_map<EndpointId, std::size_t> announced_; // index into options_.endpoints
  HeldCalls held_;
  SparePermits spares_; // of calls that are held
  std::unordered_map<AttemptId, InFlight> in_flight_;
  std::vector<protocol::Returned> unsaid_; // since the last Hello, until its Welcome
  Outbox outbox_;
  std::vector<AttemptId> gathered_; // outcomes that have not been said
  std::size_t gathered_bytes_ = 0;
  Time gathered_until_ = never;
  SharedTexts shared_;
  QueueWatch queues_;
};

} // namespace gristmill::worker
