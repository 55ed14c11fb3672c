#include "coordinator/http/api/job_events.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/http/api/job_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t page_jobs = 256;

constexpr std::string_view opening = "retry: 2000\n\n"; // ms until a client that was cut comes back

std::string event(std::string_view name, std::string_view data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, data);
}

} // namespace

std::string JobFeed::page(const std::vector<wiring::JobView>& jobs, std::size_t room) {
  std::string text;
  for (const wiring::JobView& job : jobs) {
    if (job_.value != 0 && job.id != job_) continue;
    const std::int64_t ended_at = gristmill::is_over(job.state) ? job.ended_at : 0;
    const auto before = told_.find(job.id);
    if (before == told_.end() && ended_at != 0 && ended_at < ended_since_ && job_.value == 0)
      continue;
    if (before != told_.end()) before->second.seen = look_;
    // What is over stays as it is: nobody needs to look at ten thousand of them again.
    if (before != told_.end() && ended_at != 0 && before->second.ended_at == ended_at) continue;
    std::string data =
        json_of(job).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    if (before == told_.end() || before->second.text != data) {
      const std::string news = event("job", data);
      if (text.size() + news.size() > room) continue;
      text += news;
    }
    told_[job.id] = {ended_at, ended_at == 0 ? std::move(data) : std::string{}, look_};
    over_ = over_ || (job_.value != 0 && ended_at != 0);
  }
  if (!text.empty()) quiet_ = false;
  return text;
}

std::string JobFeed::end(Time now, std::size_t room) {
  std::string text;
  for (auto it = told_.begin(); it != told_.end();) {
    const std::string news =
        it->second.seen == look_
            ? ""
            : event("job.forgotten", fmt::format(R"({{"id":"{}"}})", to_string(it->first)));
    const bool tells = !news.empty() && text.size() + news.size() <= room;
    if (tells) text += news;
    it = tells ? told_.erase(it) : std::next(it);
  }
  ++look_;
  over_ = over_ || (job_.value != 0 && told_.empty());
  quiet_ = quiet_ && text.empty();
  if (quiet_ && now >= sent_at_ + silence_max) text = ": nothing new\n\n";
  if (!quiet_ || !text.empty()) sent_at_ = now;
  quiet_ = true;
  return text.size() <= room ? text : std::string{};
}

void JobFeed::add_wanted(std::vector<JobId>& jobs) const {
  if (job_.value != 0) jobs.push_back(job_);
  for (const auto& [id, told] : told_) jobs.push_back(id);
}

// What the thread and its callers share; an answer may come when the rest is gone.
struct JobEvents::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Client> joining;
  std::size_t open = 0;
  std::uint64_t asked = 0; // a late answer to an earlier question is none
  std::optional<wiring::Answer> answer;
  bool stopped = false;
};

JobEvents::JobEvents(List list, std::chrono::milliseconds every,
                     std::chrono::milliseconds answer_within)
    : list_{std::move(list)}, every_{every}, answer_within_{answer_within},
      shared_{std::make_shared<Shared>()}, thread_{
                                               guarded_thread("job events", [this] { run(); })} {}

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

std::shared_ptr<EventStream> JobEvents::open(JobId job, std::int64_t ended_since) {
  auto stream = std::make_shared<EventStream>();
  stream->push(opening);
  const std::lock_guard lock{shared_->mutex};
  if (shared_->open >= streams_max) return nullptr;
  ++shared_->open;
  shared_->joining.push_back({stream, JobFeed{job, ended_since}});
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
    lock.unlock();
    look();
    lock.lock();
    shared_->changed.wait_for(lock, every_, wanted);
    if (stopped()) return;
  }
}

// Nothing: no answer came, or we stop.
std::optional<wiring::Answer> JobEvents::ask(wiring::ListJobs page) {
  std::unique_lock lock{shared_->mutex};
  const std::uint64_t number = ++shared_->asked;
  shared_->answer.reset();
  lock.unlock();
  list_(std::move(page), [shared = shared_, number](wiring::Answer answer) {
    const std::lock_guard answered{shared->mutex};
    if (shared->asked == number) shared->answer = std::move(answer);
    shared->changed.notify_all();
  });
  lock.lock();
  shared_->changed.wait_for(lock, answer_within_,
                            [&] { return shared_->stopped || shared_->answer.has_value(); });
  if (shared_->stopped || !shared_->answer || shared_->answer->error) return std::nullopt;
  return std::exchange(shared_->answer, std::nullopt);
}

wiring::ListJobs JobEvents::first_page() const {
  wiring::ListJobs page;
  page.limit = page_jobs;
  page.ended_since = std::numeric_limits<std::int64_t>::max();
  auto wanted = std::make_shared<std::vector<JobId>>();
  for (const Client& client : clients_) {
    page.ended_since = std::min(page.ended_since, client.feed.ended_since());
    client.feed.add_wanted(*wanted);
  }
  std::sort(wanted->begin(), wanted->end());
  wanted->erase(std::unique(wanted->begin(), wanted->end()), wanted->end());
  page.wanted = std::move(wanted);
  return page;
}

// A look that is not answered to its end is begun anew: clients are told in it what they have not
// been told.
void JobEvents::look() {
  for (auto page = first_page();;) {
    const auto answer = ask(page);
    if (!answer) return;
    for (Client& client : clients_)
      client.stream->push(client.feed.page(answer->jobs, client.stream->room()));
    if (answer->more.value == 0) break;
    page.after = answer->more;
  }
  for (Client& client : clients_) {
    client.stream->push(client.feed.end(boot_now(), client.stream->room()));
    if (client.feed.is_over()) client.stream->finish();
  }
}

} // namespace gristmill::coordinator
