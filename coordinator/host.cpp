#include "coordinator/host.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/log.hpp"
#include "coordinator/result/merge_files.hpp"
#include "coordinator/shared/shared_answers.hpp"

#include <fmt/format.h>
#include <future>

namespace gristmill::coordinator {

using wiring::Address;
using wiring::Envelope;
using wiring::Message;
using wiring::Moment;

namespace {
Moment this_moment() {
  return {boot_now(), wall_seconds()};
}
void log_gateway(const Event& event) {
  log_event("gateway", event);
}

wiring::Answer failed_answer(std::uint64_t token, const Error& why) {
  wiring::Answer answer;
  answer.token = token;
  answer.error = why;
  return answer;
}

} // namespace

// One room on the stage.
class CoordinatorHost::RoomPlayer final : public Player {
public:
  RoomPlayer(CoordinatorHost& host, Address address, std::unique_ptr<wiring::Room> room)
      : host_{host}, address_{address}, name_{name_of(address)}, room_{std::move(room)} {}
  ~RoomPlayer() override {
    if (ended_) host_.gone();
  }

  Next handle(std::shared_ptr<void> body) override {
    Message message = body ? std::move(*std::static_pointer_cast<Message>(body)) : wiring::Tick{};
    body.reset();
    wiring::Post post = wiring::play(*room_, address_, std::move(message), this_moment());
    const Next next{post.wake_at, post.closed};
    wiring::carry_out(address_, std::move(post), *this);
    return next;
  }

  // A window threw, not the room.
  void crashed(const std::string& what) override {
    wiring::carry_out(address_, wiring::ended_by(address_, what), *this);
  }

  // What `wiring::carry_out` needs.
  void log(const Address&, const Event& event) { log_event(name_, event); }
  void forget(const Address& address) {
    if (!std::exchange(ended_, true)) host_.forget(address);
  }
  void fatal(Error error) { host_.fail_once(std::move(error)); }
  void send(wiring::SendFrames frames) { host_.send(std::move(frames)); }
  void commit(journal::Group group) { host_.store_.rows->commit(std::move(group)); }
  void read_job(JobId job) { host_.store_.rows->read_job(job); }
  void find_answers(wiring::FindAnswers find) {
    host_.cache_->find({find.job, std::move(find.so_far), std::move(find.scope)});
  }
  void keep_answers(std::vector<KeptAnswer> answers) { host_.cache_->keep(std::move(answers)); }
  void check_shared(SharedCheck check) { host_.shared_->check(std::move(check)); }
  void answer(wiring::Answer answer) { host_.answer(std::move(answer)); }
  void post(Envelope envelope) { host_.deliver_to_room(std::move(envelope)); }

private:
  CoordinatorHost& host_;
  Address address_;
  std::string name_;
  std::unique_ptr<wiring::Room> room_;
  bool ended_ = false; // it is in nobody's book any more
};

Result<std::unique_ptr<CoordinatorHost>> CoordinatorHost::open(Stage& stage, HostOptions options) {
  std::unique_ptr<CoordinatorHost> host{new CoordinatorHost{stage, std::move(options)}};
  journal::JournalEvents events;
  events.durable = [h = host.get()](journal::Position upto) {
    h->deliver_to_room({{wiring::Recipient::journal, {}}, wiring::StoreDurable{upto}});
  };
  events.failed = [h = host.get()](Error error, journal::Group group) {
    h->deliver_to_room({{wiring::Recipient::journal, {}},
                        wiring::StoreFailed{std::move(error), std::move(group)}});
  };
  events.read = [h = host.get()](JobId job, Result<journal::RecoveredJob> content) {
    h->deliver_to_room(
        {{wiring::Recipient::coordinator, {}}, wiring::JobRead{job, std::move(content)}});
  };
  OpenBodies open_bodies;
  if (host->options_.shared) open_bodies = [h = host.get()] { return h->open_shared(); };
  auto opened = open_store(host->options_.state_directory, std::move(events), host->recovered_,
                           std::move(open_bodies));
  GRISTMILL_TRY(opened);
  host->store_ = std::move(*opened);
  GRISTMILL_TRY(host->open_cache());
  return host;
}

Result<std::shared_ptr<SharedAnswers>> CoordinatorHost::open_shared() {
  shared_path_ = options_.shared->path();
  auto words = SharedWords::open(
      *options_.shared, options_.state_directory, [this](SessionId session, std::string why_not) {
        deliver_to_room({{wiring::Recipient::coordinator, {}},
                         wiring::SharedChecked{session, std::move(why_not)}});
      });
  GRISTMILL_TRY(words);
  shared_ = std::move(*words);
  return std::make_shared<SharedAnswers>(std::move(*options_.shared), shared_->place().directory);
}

Result<> CoordinatorHost::open_cache() {
  if (options_.cache_directory.empty()) return {};
  auto opened = AnswerCache::open(
      options_.cache_directory, options_.cache_bytes, [this](JobId job, LookedUpAnswers answers) {
        deliver_to_room({{wiring::Recipient::supervisor, job}, std::move(answers)});
      });
  GRISTMILL_TRY(opened);
  cache_ = std::move(*opened);
  return {};
}

wiring::NodeOptions CoordinatorHost::node_options() {
  wiring::NodeOptions node;
  if (options_.keys) node.cluster = options_.keys->cluster;
  node.flat = options_.flat;
  node.workers_died = options_.flat;
  node.random_seed = random_seed();
  node.pools = options_.pools;
  node.output_path = [this](JobId job, const JobSpec& spec) { return output_path(job, spec); };
  node.open_source = [this](const JobSpec& spec) {
    return FileSource::open(spec.inputs, options_.state_directory, inputs_);
  };
  node.open_tokenizer = [this](const JobSpec& spec) {
    return tokenizers_.open(spec, inputs_.roots);
  };
  node.lines = store_.lines;
  node.has_cache = cache_ != nullptr;
  if (shared_) node.shared = shared_->place();
  node.open_merge = [this](JobId job, const JobSpec& spec) { return open_merge(job, spec); };
  return node;
}

Result<> CoordinatorHost::start(InputRoots inputs) {
  inputs_ = {std::move(inputs), OpenInputs::of_process(), options_.growth, shared_path_};
  node_ = std::make_unique<wiring::CoordinatorNode>(node_options(), std::move(recovered_));
  const Moment moment = this_moment();
  for (const Address& address : wiring::CoordinatorNode::shared_rooms())
    rooms_.open(address, stage_.spawn(std::make_unique<RoomPlayer>(
                             *this, address, node_->make_room(address, moment))));

  // Before any worker is heard: what it claims must find its job open.
  deliver_to_room({{wiring::Recipient::coordinator, {}}, wiring::Start{}});

  GRISTMILL_TRY(open_gateway());
  plugged_.count_down();
  return {};
}

Result<> CoordinatorHost::open_gateway() {
  GatewayEvents events;
  events.received = [this](std::vector<ReceivedFrame> frames) {
    deliver_to_room({{wiring::Recipient::coordinator, {}}, wiring::FramesIn{std::move(frames)}});
  };
  events.gone = [this](std::vector<PeerId> peers) {
    deliver_to_room({{wiring::Recipient::coordinator, {}}, wiring::PeersGone{std::move(peers)}});
  };
  events.removed = [this](std::vector<PeerId> peers) {
    deliver_to_room(
        {{wiring::Recipient::coordinator, {}}, wiring::PeersGone{std::move(peers), true}});
  };
  if (options_.gateway) {
    gateway_ = options_.gateway(std::move(events));
    return {};
  }
  GatewayOptions gateway;
  gateway.listen = options_.listen;
  if (options_.keys) {
    auto enrolment = AllowList::open(options_.keys->allow_file, log_gateway);
    GRISTMILL_TRY(enrolment);
    gateway.keys = GatewayKeys{options_.keys->keys, std::move(*enrolment)};
  }
  gateway.log = log_gateway;
  auto opened = ZmqGateway::open(std::move(gateway), std::move(events));
  GRISTMILL_TRY(opened);
  listening_ = (*opened)->endpoint();
  gateway_ = std::move(*opened);
  return {};
}

CoordinatorHost::~CoordinatorHost() {
  stop();
}

void CoordinatorHost::stop() {
  std::map<Address, Stage::ActorRef> rooms;
  {
    const std::unique_lock lock{rooms_mutex_};
    if (stopped_) return;
    stopped_ = true;
    rooms = rooms_.close();
  }
  // Rooms first: they use the windows until they are gone.
  for (const auto& [address, actor] : rooms) stage_.leave(actor);
  {
    std::unique_lock lock{rooms_mutex_};
    nobody_ends_.wait(lock, [this] { return ending_ == 0; });
  }
  gateway_.reset();
  shared_.reset();
  cache_.reset();
  if (store_.rows) store_.rows->close(!failed_);
}

void CoordinatorHost::send(wiring::SendFrames send) {
  plugged_.wait(); // the first frames may come before the gateway has its name
  if (!send.frames.empty()) gateway_->send(std::move(send.frames));
  if (send.consumed_bytes > 0) gateway_->consumed(send.consumed_bytes);
}

void CoordinatorHost::deliver_to_room(Envelope envelope) {
  std::optional<Stage::ActorRef> actor;
  {
    const std::shared_lock lock{rooms_mutex_};
    actor = rooms_.find(envelope.to);
    if (stopped_) return;
  }
  if (!actor) {
    if (!wiring::opens_room(envelope.message)) return;
    auto player = std::make_unique<RoomPlayer>(*this, envelope.to,
                                               node_->make_room(envelope.to, this_moment()));
    const std::unique_lock lock{rooms_mutex_};
    if (stopped_) return; // nobody would tell a room that begins now to leave
    actor = stage_.spawn(std::move(player));
    rooms_.open(envelope.to, *actor);
  }
  Stage::post(*actor, std::make_shared<Message>(std::move(envelope.message)));
}

void CoordinatorHost::forget(const Address& address) {
  const std::unique_lock lock{rooms_mutex_};
  rooms_.forget(address);
  ++ending_;
}

void CoordinatorHost::gone() {
  const std::unique_lock lock{rooms_mutex_};
  --ending_;
  nobody_ends_.notify_all(); // while locked: whoever waits may take us away
}

// Rooms answer nobody any more: who waits, and who asks from now on, is told why.
void CoordinatorHost::fail_once(Error error) {
  if (failed_.exchange(true)) return;
  decltype(answers_) waiting;
  {
    const std::lock_guard lock{answers_mutex_};
    failure_ = error;
    waiting.swap(answers_);
  }
  if (options_.fatal) options_.fatal(error);
  for (auto& [token, asked] : waiting) asked.answered(failed_answer(token, error));
}

void CoordinatorHost::ask(Question question, std::function<void(wiring::Answer)> answered) {
  wiring::Ask ask;
  ask.question = std::move(question);
  {
    std::unique_lock lock{answers_mutex_};
    if (failure_) {
      const Error why = *failure_;
      lock.unlock();
      return answered(failed_answer(0, why));
    }
    const Time now = boot_now();
    while (!answers_.empty() && answers_.begin()->second.at + answer_kept_for < now)
      answers_.erase(answers_.begin());
    ask.token = next_token_++;
    answers_.emplace(ask.token, Asked{std::move(answered), now});
  }
  deliver_to_room({{wiring::Recipient::coordinator, {}}, std::move(ask)});
}

wiring::Answer CoordinatorHost::ask_and_wait(Question question) {
  auto promise = std::make_shared<std::promise<wiring::Answer>>();
  auto future = promise->get_future();
  ask(std::move(question),
      [promise](wiring::Answer answer) { promise->set_value(std::move(answer)); });
  // What it waits for may wait for two commits of the slowest disk, and for other work.
  constexpr auto patience = 4 * defaults::commit_time_max;
  if (future.wait_for(patience) == std::future_status::ready) return future.get();
  wiring::Answer late;
  late.error =
      Error{ErrorCode::unavailable, fmt::format("the coordinator did not answer within {} s",
                                                patience / std::chrono::seconds{1})};
  return late;
}

void CoordinatorHost::input_grew(JobId job) {
  deliver_to_room({{wiring::Recipient::supervisor, job}, wiring::InputGrew{}});
}

void CoordinatorHost::answer(wiring::Answer answer) {
  std::function<void(wiring::Answer)> answered;
  {
    const std::lock_guard lock{answers_mutex_};
    const auto it = answers_.find(answer.token);
    if (it == answers_.end()) return;
    answered = std::move(it->second.answered);
    answers_.erase(it);
  }
  answered(std::move(answer));
}

std::string CoordinatorHost::output_path(JobId job, const JobSpec& spec) const {
  if (!spec.output.empty()) return spec.output;
  return fmt::format("{}/jobs/{}/output.jsonl", options_.state_directory, job.value);
}

Result<std::shared_ptr<journal::JobLines>> CoordinatorHost::lines_of(JobId job,
                                                                     journal::LineKind kind) const {
  return store_.lines->lines_of(job, kind);
}

Result<std::unique_ptr<merger::MergeFiles>> CoordinatorHost::open_merge(JobId job,
                                                                        const JobSpec& spec) {
  auto lines = lines_of(job, journal::LineKind::results);
  GRISTMILL_TRY(lines);
  MergeFilesOptions merge;
  merge.lines = std::move(*lines);
  merge.output = output_path(job, spec);
  if (spec.output.empty()) merge.readers = Readers::owner; // it stays in the state directory
  merge.work_directory = options_.flat
                             ? options_.state_directory
                             : fmt::format("{}/jobs/{}", options_.state_directory, job.value);
  // A job without a line has no segment, and so no directory yet.
  GRISTMILL_TRY(make_directory(merge.work_directory));
  auto opened = DiskMergeFiles::open(std::move(merge));
  GRISTMILL_TRY(opened);
  return std::unique_ptr<merger::MergeFiles>{std::move(*opened)};
}

} // namespace gristmill::coordinator
