#include "coordinator/gateway/zap.hpp"
#include "tests/unit/coordinator/gateway/zmq_stage.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <zmq.hpp>

namespace zmq_keys_test {

using namespace gristmill;
using stage::CoordinatorEnd;
using stage::WorkerEnd;

namespace {

// Whose key is known is up to the test.
class Guests : public coordinator::Enrolment {
public:
  std::optional<std::string> name_of(std::string_view public_key) override {
    const std::lock_guard lock{mutex_};
    if (everybody_) return "anybody";
    const auto found = names_.find(public_key);
    return found == names_.end() ? std::nullopt : std::optional{found->second};
  }
  void add(const WorkerAccess& access) {
    const std::lock_guard lock{mutex_};
    names_[access.keys.public_key] = access.name;
  }
  void remove_all() {
    const std::lock_guard lock{mutex_};
    names_.clear();
  }
  void admit_everybody() {
    const std::lock_guard lock{mutex_};
    everybody_ = true;
  }

private:
  std::mutex mutex_;
  AllowedKeys names_;
  bool everybody_ = false;
};

struct Cluster {
  KeyPair server = make_key_pair();
  std::shared_ptr<Guests> guests = std::make_shared<Guests>();

  coordinator::GatewayOptions options() const {
    return {.listen = "tcp://127.0.0.1:0", .keys = coordinator::GatewayKeys{server, guests}};
  }
  WorkerAccess worker(const std::string& name) const {
    return {"", "cluster", name, server.public_key, make_key_pair()};
  }
};

worker::LinkOptions to(const CoordinatorEnd& coordinator, const WorkerAccess& access) {
  return {.coordinator = coordinator.gateway->endpoint(), .access = access};
}

} // namespace

TEST_CASE("an enrolled key joins, and its name comes with every frame") {
  Cluster cluster;
  const WorkerAccess ada = cluster.worker("ada"), bob = cluster.worker("bob");
  cluster.guests->add(ada);
  cluster.guests->add(bob);
  CoordinatorEnd coordinator{cluster.options()};
  WorkerEnd first{to(coordinator, ada)}, second{to(coordinator, bob)};
  REQUIRE((first.comes_up() && second.comes_up()));
  first.link->send({"ada", "ada"});
  second.link->send({"bob", "bob"});
  REQUIRE(coordinator.has_frames(4));
  for (const auto& frame : coordinator.received()) CHECK(frame.user == frame.bytes);
  coordinator.send(coordinator.peer_that_said("ada"), {"hello ada"});
  CHECK(first.has_frames(1));
}

TEST_CASE("an unknown key is refused and told so, until it is enrolled") {
  Cluster cluster;
  const WorkerAccess late = cluster.worker("late");
  stage::Notes notes;
  std::vector<std::string> refused;
  auto options = cluster.options();
  options.log = [&](const Event& event) {
    notes.add([&] { refused.push_back(event.fields.at(1).second); });
  };
  CoordinatorEnd coordinator{options};
  WorkerEnd worker{to(coordinator, late)};
  REQUIRE(worker.goes_down("does not know this worker's key"));
  CHECK_THAT(worker.troubles().front(), Catch::Contains("`late " + late.keys.public_key + "`"));
  REQUIRE(notes.become([&] { return refused.size() >= 2; })); // it tries again
  CHECK(notes.look([&] { return refused.front(); }) ==
        late.keys.public_key); // the self-test's were not logged
  cluster.guests->add(late);
  REQUIRE(worker.comes_up());
  CHECK(worker.troubles().size() == 1); // the same reason is not told twice
}

TEST_CASE("a worker that is removed is heard no more") {
  Cluster cluster;
  const WorkerAccess access = cluster.worker("once");
  cluster.guests->add(access);
  CoordinatorEnd coordinator{cluster.options()};
  WorkerEnd worker{to(coordinator, access)};
  REQUIRE(worker.comes_up());
  worker.link->send({"trusted"});
  const auto peer = coordinator.peer_that_said("trusted");
  cluster.guests->remove_all();
  REQUIRE(coordinator.notes.become_by([&] { worker.link->send({"still here"}); },
                                      [&] { return !coordinator.gone.empty(); }));
  CHECK(coordinator.gone_peers().front() == peer);
  CHECK(coordinator.gateway->dropped_frames() > 0);
}

TEST_CASE("a worker that is removed is told nothing more, and its coordinator hears of it") {
  Cluster cluster;
  const WorkerAccess silent = cluster.worker("silent"), stays = cluster.worker("stays");
  cluster.guests->add(silent);
  CoordinatorEnd coordinator{cluster.options()};
  WorkerEnd worker{to(coordinator, silent)}, other{to(coordinator, stays)};
  REQUIRE(worker.comes_up());
  worker.link->send({"once"});
  const auto peer = coordinator.peer_that_said("once");
  coordinator.send(peer, {"a prompt"});
  REQUIRE(worker.has_frames(1));
  cluster.guests->remove_all();
  cluster.guests->add(stays);
  REQUIRE(coordinator.notes.become([&] { return !coordinator.removed.empty(); }));
  CHECK(coordinator.notes.look([&] { return coordinator.removed; }) == std::vector{peer});
  coordinator.send(peer, {"another prompt"});
  REQUIRE(coordinator.notes.become([&] { return !coordinator.gone.empty(); }));
  CHECK(coordinator.gone_peers().front() == peer);
  // Who may join still hears.
  REQUIRE(other.comes_up());
  other.link->send({"here"});
  coordinator.send(coordinator.peer_that_said("here"), {"a prompt for it"});
  CHECK(other.has_frames(1));
  CHECK(worker.notes.look([&] { return worker.frames.size(); }) == 1);
}

TEST_CASE("a worker without a key is refused") {
  Cluster cluster;
  CoordinatorEnd coordinator{cluster.options()};
  WorkerEnd worker{{.coordinator = coordinator.gateway->endpoint()}};
  REQUIRE(worker.goes_down("keys"));
  CHECK_FALSE(worker.was_up());
}

TEST_CASE("a worker that trusts another coordinator's key does not talk to this one") {
  Cluster cluster;
  WorkerAccess misled = cluster.worker("misled");
  cluster.guests->add(misled);
  misled.server_key = make_key_pair().public_key;
  CoordinatorEnd coordinator{cluster.options()};
  WorkerEnd worker{to(coordinator, misled)};
  REQUIRE(worker.goes_down("server_key"));
  CHECK_FALSE(worker.was_up());
}

TEST_CASE("a worker with keys does not talk to a coordinator without") {
  Cluster cluster;
  CoordinatorEnd coordinator{{.listen = "tcp://127.0.0.1:0"}};
  WorkerEnd worker{to(coordinator, cluster.worker("careful"))};
  REQUIRE(worker.goes_down("--keys"));
  CHECK_FALSE(worker.was_up());
}

TEST_CASE("a gateway that lets strangers in does not open") {
  Cluster cluster;
  cluster.guests->admit_everybody();
  const auto opened = coordinator::ZmqGateway::open(cluster.options(), {});
  REQUIRE_FALSE(opened);
  CHECK_THAT(opened.error().message, Catch::Contains("nobody enrolled"));
}

TEST_CASE("the self-test notices a server that nobody checks keys for") {
  const KeyPair server = make_key_pair();
  zmq::context_t context;
  zmq::socket_t router{context, zmq::socket_type::router};
  const bool with_keys = GENERATE(true, false);
  if (with_keys) {
    router.set(zmq::sockopt::curve_server, true);
    router.set(zmq::sockopt::curve_secretkey, server.secret_key);
  }
  router.bind("tcp://127.0.0.1:*");
  const auto proof = coordinator::prove_strangers_are_refused(
      context, router.get(zmq::sockopt::last_endpoint), server.public_key);
  REQUIRE_FALSE(proof);
  CHECK_THAT(proof.error().message,
             Catch::Contains(with_keys ? "nobody enrolled" : "without a key"));
}

TEST_CASE("the allow list follows its file, and keeps the last one that could be read") {
  std::string directory = (std::filesystem::temp_directory_path() / "allow-XXXXXX").string();
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  const std::string file = directory + "/workers.allow";
  const auto write = [&](const std::string& text) {
    std::ofstream{file} << text;
    std::filesystem::permissions(file, std::filesystem::perms{0600});
  };
  const std::string ada = make_key_pair().public_key, bob = make_key_pair().public_key;
  write("# nobody yet\n");
  std::vector<std::string> events;
  auto list = coordinator::AllowList::open(
      file, [&](const Event& event) { events.emplace_back(event.name); });
  REQUIRE(list);
  CHECK_FALSE((*list)->name_of(ada));
  write("ada " + ada + "\n");
  CHECK((*list)->name_of(ada) == "ada");
  write("ada " + ada + "\nbob not-a-key\n");
  CHECK((*list)->name_of(ada) == "ada");
  write("bob " + bob + "\n");
  CHECK_FALSE((*list)->name_of(ada));
  CHECK((*list)->name_of(bob) == "bob");
  std::filesystem::remove(file);
  CHECK((*list)->name_of(bob) == "bob");
  CHECK(events == std::vector<std::string>{"allow_list.loaded", "allow_list.kept",
                                           "allow_list.loaded", "allow_list.kept"});
  std::filesystem::remove_all(directory);
}

} // namespace zmq_keys_test
