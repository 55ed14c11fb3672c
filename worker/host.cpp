#include "worker/host.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/log.hpp"
#include "worker/link/zmq_link.hpp"
#include "worker/shared/disk_shared_store.hpp"

#include <variant>

namespace gristmill::worker {
namespace {

struct FramesIn {
  std::vector<std::string> frames;
};
struct LinkUp {};
struct LinkDown {
  std::string why;
};
struct CallsEnded {
  std::vector<CallEnded> calls;
  std::int64_t unix_now;
};
struct PagesRead {
  std::vector<PageEnded> pages;
};
struct DrainNow {};
using Message = std::variant<FramesIn, LinkUp, LinkDown, CallsEnded, PagesRead, DrainNow,
                             ProvedShared, std::vector<BodyStored>, std::vector<TextsLoaded>>;

void post(const Stage::ActorRef& to, Message message) {
  Stage::post(to, std::make_shared<Message>(std::move(message)));
}

void log_calls(const std::vector<CallEnded>& calls) {
  if (!logs_details()) return;
  for (const CallEnded& call : calls)
    log_detail("worker", {"call.ended",
                          {{"attempt", to_string(call.attempt)},
                           {"status", std::to_string(call.http_status)},
                           {"code", call.code},
                           {"latency_us", std::to_string(call.latency_us)}}});
}

} // namespace

class WorkerHost::WorkerPlayer final : public Player {
public:
  explicit WorkerPlayer(WorkerHost& host) : host_{host}, worker_{host.options_.worker} {}

  Next handle(std::shared_ptr<void> body) override {
    host_.plugged_.wait(); // the first event may come before the link has its name
    const Time now = boot_now();
    if (!body) {
      carry_out(worker_.tick(now));
      return {worker_.wake_at(), false};
    }
    auto& message = *std::static_pointer_cast<Message>(body);
    if (auto* in = std::get_if<FramesIn>(&message)) {
      std::size_t bytes = 0;
      for (const std::string& frame : in->frames) {
        bytes += frame.size();
        carry_out(worker_.received(frame, now));
      }
      host_.link_->consumed(bytes);
    } else if (std::holds_alternative<LinkUp>(message)) {
      carry_out(worker_.link_up(now));
    } else if (auto* down = std::get_if<LinkDown>(&message)) {
      carry_out(worker_.link_down(std::move(down->why), now));
    } else if (auto* ended = std::get_if<CallsEnded>(&message)) {
      log_calls(ended->calls);
      carry_out(worker_.ended(std::move(ended->calls), ended->unix_now, now));
    } else if (const auto* read = std::get_if<PagesRead>(&message)) {
      carry_out(worker_.read(read->pages, now));
    } else if (auto* proved = std::get_if<ProvedShared>(&message)) {
      carry_out(worker_.proved(std::move(*proved)));
    } else if (auto* stored = std::get_if<std::vector<BodyStored>>(&message)) {
      carry_out(worker_.stored(std::move(*stored), now));
    } else if (auto* loaded = std::get_if<std::vector<TextsLoaded>>(&message)) {
      carry_out(worker_.loaded(std::move(*loaded), now));
    } else {
      carry_out(worker_.drain(now));
    }
    return {worker_.wake_at(), false};
  }

  void crashed(const std::string& what) override {
    log_event("worker", {"room.crashed", {{"what", what}}, true});
    if (host_.options_.fatal) host_.options_.fatal("internal error: " + what);
  }

private:
  void carry_out(Effects effects) {
    if (!effects.frames.empty()) host_.link_->send(std::move(effects.frames));
    if (!effects.starts.empty()) host_.client_->start(std::move(effects.starts));
    if (!effects.aborts.empty()) host_.client_->abort(std::move(effects.aborts));
    if (!effects.reads.empty()) host_.client_->read(std::move(effects.reads));
    if (effects.proves) host_.shared_->prove(std::move(*effects.proves));
    if (!effects.stores.empty()) host_.shared_->store(std::move(effects.stores));
    if (!effects.loads.empty()) host_.shared_->load(std::move(effects.loads));
    for (const Event& event : effects.events) log_event("worker", event);
    const HostOptions& told = host_.options_;
    if (effects.welcome && told.welcome) told.welcome();
    if (effects.finished && told.finished) told.finished();
    if (!effects.refused.empty() && told.refused) told.refused(std::move(effects.refused));
  }

  WorkerHost& host_;
  Worker worker_;
};

Result<std::unique_ptr<WorkerHost>> WorkerHost::start(Stage& stage, HostOptions options) {
  std::unique_ptr<WorkerHost> host{new WorkerHost{stage, std::move(options)}};
  host->actor_ = stage.spawn(std::make_unique<WorkerPlayer>(*host));
  const auto actor = host->actor_;
  ModelClientEvents client;
  client.ended = [actor](std::vector<CallEnded> calls, std::int64_t unix_now) {
    post(actor, CallsEnded{std::move(calls), unix_now});
  };
  client.read = [actor](std::vector<PageEnded> pages) { post(actor, PagesRead{std::move(pages)}); };
  host->client_ = std::make_unique<CurlClient>(std::move(client), host->options_.http);
  host->open_shared();
  const auto linked = host->open_link();
  host->plugged_.count_down();
  GRISTMILL_TRY(linked);
  return host;
}

void WorkerHost::open_shared() {
  if (!options_.shared) return;
  SharedStoreEvents events;
  events.proved = [actor = actor_](ProvedShared proved) { post(actor, std::move(proved)); };
  events.stored = [actor = actor_](std::vector<BodyStored> bodies) {
    post(actor, std::move(bodies));
  };
  events.loaded = [actor = actor_](std::vector<TextsLoaded> calls) {
    post(actor, std::move(calls));
  };
  shared_ = std::make_unique<DiskSharedStore>(std::move(*options_.shared), std::move(events));
}

Result<> WorkerHost::open_link() {
  LinkEvents events;
  events.received = [actor = actor_](std::vector<std::string> frames) {
    post(actor, FramesIn{std::move(frames)});
  };
  events.up = [actor = actor_] { post(actor, LinkUp{}); };
  events.down = [actor = actor_](std::string why) { post(actor, LinkDown{std::move(why)}); };
  if (options_.link) {
    link_ = options_.link(std::move(events));
    return {};
  }
  LinkOptions link;
  link.coordinator = options_.coordinator;
  link.access = options_.access;
  auto opened = ZmqLink::open(std::move(link), std::move(events));
  GRISTMILL_TRY(opened);
  link_ = std::move(*opened);
  return {};
}

WorkerHost::~WorkerHost() {
  stop();
}

void WorkerHost::drain() {
  post(actor_, DrainNow{});
}

void WorkerHost::stop() {
  if (!actor_) return;
  // The room first: it uses the windows until it is gone. What they post then goes nowhere.
  stage_.leave(actor_);
  link_.reset();
  client_.reset();
  shared_.reset();
  actor_.reset();
}

} // namespace gristmill::worker
