#include "coordinator/job_events.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/job_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::string_view opening = "retry: 2000\n\n"; // ms until a client that was cut comes back

std::string event(std::string_view name, std::string_view data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, data);
}

} // namespace

std::string JobFeed::next(const std::vector<wiring::JobView>& jobs, Time now) {
  std::string text;
  std::map<JobId, Told> known;
  for (const wiring::JobView& job : jobs) {
    if (job_.value != 0 && job.id != job_) continue;
    const std::int64_t ended_at = gristmill::is_over(job.state) ? job.ended_at : 0;
    auto before = told_.extract(job.id);
    // What is over stays as it is: nobody needs to look at ten thousand of them again.
    if (before && ended_at != 0 && before.mapped().ended_at == ended_at) {
      known.insert(std::move(before));
      continue;
    }
    std::string data =
        json_of(job).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    if (!before || before.mapped().text != data) text += event("job", data);
    known[job.id] = {ended_at, ended_at == 0 ? std::move(data) : std::string{}};
    over_ = over_ || (job_.value != 0 && ended_at != 0);
  }
  for (const auto& [id, gone] : told_)
    text += event("job.forgotten", fmt::format(R"({{"id":"{}"}})", to_string(id)));
  told_ = std::move(known);
  over_ = over_ || (job_.value != 0 && told_.empty());
  if (text.empty() && now >= sent_at_ + silence_max) text = ": nothing new\n\n";
  if (!text.empty()) sent_at_ = now;
  return text;
}

// What the thread and its callers share; an answer may come when the rest is gone.
struct JobEvents::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Client> joining;
  std::size_t open = 0;
  std::optional<wiring::Answer> answer;
  bool stopped = false;
};

JobEvents::JobEvents(List list, std::chrono::milliseconds every)
    : list_{std::move(list)}, every_{every}, shared_{std::make_shared<Shared>()},
      thread_{guarded_thread("job events", [this] { run(); })} {}

JobEvents::~JobEvents() {
  {
    const std::lock_guard lock{shared_->mutex};
    shared_->stopped = true;
  }
  shared_->changed.notify_all();
  thread_.join();
  for (const Client& client : clients_) client.stream->finish();
  for (const Client& client : shared_->joining) client.stream->finish();
}

std::shared_ptr<EventStream> JobEvents::open(JobId job) {
  auto stream = std::make_shared<EventStream>();
  stream->push(opening);
  const std::lock_guard lock{shared_->mutex};
  if (shared_->open >= streams_max) return nullptr;
  ++shared_->open;
  shared_->joining.push_back({stream, JobFeed{job}});
  shared_->changed.notify_all();
  return stream;
}

void JobEvents::run() {
  std::unique_lock lock{shared_->mutex};
  const auto stopped = [this] { return shared_->stopped; };
  for (;;) {
    const std::size_t before = clients_.size();
    std::erase_if(clients_, [](const Client& client) { return client.stream->is_over(); });
    shared_->open -= before - clients_.size();
    std::move(shared_->joining.begin(), shared_->joining.end(), std::back_inserter(clients_));
    shared_->joining.clear();
    const auto wanted = [&] { return stopped() || !shared_->joining.empty(); };
    if (clients_.empty()) {
      shared_->changed.wait(lock, wanted);
      if (stopped()) return;
      continue;
    }
    shared_->answer.reset();
    lock.unlock();
    list_([shared = shared_](wiring::Answer answer) {
      const std::lock_guard answered{shared->mutex};
      shared->answer = std::move(answer);
      shared->changed.notify_all();
    });
    lock.lock();
    shared_->changed.wait(lock, [&] { return stopped() || shared_->answer.has_value(); });
    if (stopped()) return;
    const wiring::Answer answer = std::move(*shared_->answer);
    lock.unlock();
    if (!answer.error) tell(answer.jobs);
    lock.lock();
    shared_->changed.wait_for(lock, every_, wanted);
    if (stopped()) return;
  }
}

void JobEvents::tell(const std::vector<wiring::JobView>& jobs) {
  for (Client& client : clients_) {
    client.stream->push(client.feed.next(jobs, boot_now()));
    if (client.feed.is_over()) client.stream->finish();
  }
}

} // namespace gristmill::coordinator
