// How rooms end: their address is gone before their last words, and a job goes on only behind them.
#include "actors/wiring/node_shell.hpp"

#include "actors/wiring/coordinator_room.hpp"
#include "actors/wiring/rooms.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>

namespace node_shell_test {

using namespace gristmill;
using namespace gristmill::wiring;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
const JobId job{1};

struct TestRoom final : Room {
  bool throws = false;
  void handle(Message message, const Moment&, Post& post) override {
    post.tell(to_coordinator, DiskFull{"a word before"});
    if (throws) throw std::runtime_error{"it is broken"};
    post.closed = std::holds_alternative<CloseRoom>(message);
  }
};

// What happens, in its order.
struct Notes {
  std::vector<std::string> notes;
  void log(const Address&, const Event& event) {
    notes.push_back(std::string{"log "} + std::string{event.name});
  }
  void forget(const Address& room) { notes.push_back("forget " + name_of(room)); }
  void fatal(const Error& error) { notes.push_back("fatal " + error.message); }
  void send(const SendFrames&) { notes.push_back("send"); }
  void commit(const journal::Group&) { notes.push_back("commit"); }
  void read_job(JobId) { notes.push_back("read"); }
  void find_answers(const wiring::FindAnswers&) { notes.push_back("find"); }
  void keep_answers(const std::vector<KeptAnswer>&) { notes.push_back("keep"); }
  void check_shared(const coordinator::SharedCheck&) { notes.push_back("check shared"); }
  void answer(const Answer&) { notes.push_back("answer"); }
  void post(const Envelope& envelope) { notes.push_back("post " + name_of(envelope.to)); }
};

std::vector<std::string> notes_of(const Address& address, Message message, bool throws = false) {
  TestRoom room;
  room.throws = throws;
  Notes notes;
  carry_out(address, play(room, address, std::move(message), {start, 0}), notes);
  return notes.notes;
}

template <class M> std::vector<M> of_kind(const std::vector<Envelope>& envelopes) {
  std::vector<M> messages;
  for (const Envelope& envelope : envelopes)
    if (const auto* message = std::get_if<M>(&envelope.message)) messages.push_back(*message);
  return messages;
}

// COORDINATOR's room with one job, whose journal takes everything at once.
struct Scene {
  NodeOptions options;
  journal::Recovered recovered;
  std::unique_ptr<CoordinatorRoom> room;

  Scene() {
    recovered.epoch = Epoch{1};
    room = std::make_unique<CoordinatorRoom>(options, recovered, start);
    JobSpec spec;
    spec.inputs = {{"in", "in"}};
    spec.endpoints = {{"http://e/v1", "", "", 0, 0, 0}};
    tell(Ask{1, SubmitJob{spec}});
  }
  // What leaves for others than the journal.
  std::vector<Envelope> tell(Message message) {
    Post post;
    room->handle(std::move(message), {start, 1'000}, post);
    std::vector<Envelope> left;
    for (Envelope& envelope : post.envelopes) {
      auto* append = std::get_if<AppendNow>(&envelope.message);
      if (append == nullptr) {
        left.push_back(std::move(envelope));
        continue;
      }
      for (Envelope& release : append->release) {
        if (release.to == to_store) {
          left.push_back(std::move(release));
          continue;
        }
        for (Envelope& more : tell(std::move(release.message))) left.push_back(std::move(more));
      }
    }
    return left;
  }
  std::vector<Envelope> end() {
    JobReport report;
    report.job = job;
    report.counts = {};
    report.all_terminal = true;
    tell(std::move(report));
    return tell(MergeReport{job, "", false});
  }
  bool reads(const std::vector<Envelope>& left) { return of_kind<ReadJob>(left).size() == 1; }
};

Message retry(std::uint64_t token) {
  return Ask{token, ReopenJob{job, {}, std::vector<OutcomeClass>{}, {}}};
}

} // namespace

TEST_CASE("a room that ends has lost its address before its last words leave", "[shell]") {
  CHECK(notes_of(to_supervisor(job), Tick{}) == std::vector<std::string>{"post coordinator"});
  CHECK(notes_of(to_supervisor(job), CloseRoom{}) ==
        std::vector<std::string>{"forget supervisor/job-1", "post coordinator", "post journal"});
}

TEST_CASE("that a job's room has ended or thrown is told behind what it appended", "[shell]") {
  TestRoom room;
  Post post = play(room, to_merger(job), CloseRoom{}, {start, 0});
  auto append = of_kind<AppendNow>(post.envelopes);
  REQUIRE(append.size() == 1);
  CHECK(append[0].part.empty());
  REQUIRE(of_kind<RoomClosed>(append[0].release).size() == 1);
  CHECK(of_kind<RoomClosed>(append[0].release)[0].room == to_merger(job));
  room.throws = true;
  post = play(room, to_merger(job), Tick{}, {start, 0});
  CHECK(post.closed);
  CHECK(of_kind<DiskFull>(post.envelopes).empty()); // half of what it had to say
  append = of_kind<AppendNow>(post.envelopes);
  REQUIRE(append.size() == 1);
  REQUIRE(of_kind<RoomCrashed>(append[0].release).size() == 1);
  CHECK(of_kind<RoomCrashed>(append[0].release)[0].what == "it is broken");
}

TEST_CASE("a shared room that throws ends the node", "[shell]") {
  CHECK(notes_of(to_journal, Tick{}, true) ==
        std::vector<std::string>{"log room.crashed", "forget journal",
                                 "fatal journal crashed: it is broken"});
}

TEST_CASE("a message opens a job's room or finds the one that has the address", "[shell]") {
  CHECK(opens_room(OpenJob{}));
  CHECK(opens_room(merger::MergeTask{}));
  CHECK_FALSE(opens_room(CloseRoom{}));
  CHECK_FALSE(opens_room(LinesDurable{}));
  RoomBook<int> book;
  CHECK_FALSE(book.find(to_supervisor(job)));
  book.open(to_supervisor(job), 7);
  CHECK(book.find(to_supervisor(job)) == 7);
  book.forget(to_supervisor(job));
  CHECK_FALSE(book.find(to_supervisor(job)));
  book.open(to_journal, 8);
  CHECK(book.close().size() == 1);
  CHECK_FALSE(book.find(to_journal));
}

TEST_CASE("who retries right after the end waits until the job's rooms have ended", "[shell]") {
  Scene scene;
  const auto closing = scene.end();
  CHECK(of_kind<CloseRoom>(closing).size() >= 2);
  auto left = scene.tell(retry(2));
  CHECK(of_kind<Answer>(left).empty());
  CHECK_FALSE(scene.reads(left));
  CHECK_FALSE(scene.reads(scene.tell(RoomClosed{to_merger(job)})));
  CHECK(scene.reads(scene.tell(RoomClosed{to_supervisor(job)})));
  // Once they have, nobody waits.
  Scene other;
  other.end();
  other.tell(RoomClosed{to_supervisor(job)});
  other.tell(RoomClosed{to_merger(job)});
  CHECK(other.reads(other.tell(retry(2))));
}

TEST_CASE("who forgets a job right after its end is answered when its rooms have ended",
          "[shell]") {
  Scene scene;
  scene.end();
  CHECK(of_kind<Answer>(scene.tell(Ask{2, ForgetJob{job}})).empty());
  scene.tell(RoomClosed{to_supervisor(job)});
  const auto answers = of_kind<Answer>(scene.tell(RoomClosed{to_merger(job)}));
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].token == 2);
  CHECK_FALSE(answers[0].error);
}

TEST_CASE("a job whose supervisor threw fails, and its merger is closed too", "[shell]") {
  Scene scene;
  JobReport report;
  report.job = job;
  report.all_terminal = true;
  scene.tell(std::move(report)); // it is being merged
  const auto left = scene.tell(RoomCrashed{to_supervisor(job), "it is broken"});
  bool merger = false;
  for (const Envelope& envelope : left)
    merger |= envelope.to == to_merger(job) && std::holds_alternative<CloseRoom>(envelope.message);
  CHECK(merger);
  CHECK_FALSE(scene.reads(scene.tell(retry(2))));
  CHECK(scene.reads(scene.tell(RoomClosed{to_merger(job)})));
}

TEST_CASE("an item of a job whose supervisor has just thrown is explained without it", "[shell]") {
  Scene scene;
  scene.tell(RoomCrashed{to_supervisor(job), "it is broken"});
  const auto answers =
      of_kind<Answer>(scene.tell(Ask{2, ExplainJob{job, supervisor::ItemQuestion{}}}));
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].token == 2);
}

TEST_CASE("of a job that is forgotten the coordinator's room keeps nothing", "[shell]") {
  Scene scene;
  Sizes before, after;
  Scene{}.room->measure(before);
  scene.end();
  scene.tell(RoomClosed{to_supervisor(job)});
  scene.tell(RoomClosed{to_merger(job)});
  scene.tell(Ask{2, ForgetJob{job}});
  scene.room->measure(after);
  for (const auto& [name, entries] : after) {
    INFO(name);
    CHECK(entries == 0);
  }
  CHECK(before.at("desk.jobs") == 1);
}

} // namespace node_shell_test
