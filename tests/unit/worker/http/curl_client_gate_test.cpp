#include "actors/kit/clock.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"

#include <set>
#include <thread>

namespace curl_client_gate_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;
using std::chrono::milliseconds;

TEST_CASE("a call whose permit has ended does not reach the server") {
  SocketServer server{answer_all};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.not_after = boot_now();
  CHECK(calls.run(std::move(call)).end == CallEnd::too_late);
  CHECK(server.connections() == 0);
}

TEST_CASE("a call whose permit ends during the handshake is connected but not sent") {
  // A permit that ended on the way to the handshake proves nothing: on a busy machine a longer one
  // is tried.
  for (Duration permit = milliseconds{300};; permit *= 2) {
    REQUIRE(permit < std::chrono::minutes{1});
    SocketServer server{answer_all, 0};
    std::optional<FullBacklog> full{server};
    const std::size_t others = handshakes_to(server.port());
    Calls calls;
    HttpCall call = calls.call(server.url());
    const Time not_after = call.not_after = boot_now() + permit;
    calls.start(std::move(call));
    bool begun = false;
    while (!begun && boot_now() < not_after) begun = handshakes_to(server.port()) > others;
    if (!begun) continue;
    while (boot_now() < not_after) std::this_thread::sleep_for(not_after - boot_now());
    full.reset();
    server.accept_from_now();
    const CallEnded ended = calls.next();
    CHECK(ended.end == CallEnd::too_late);
    CHECK(ended.code == "permit_ended");
    CHECK_THAT(ended.message,
               Catch::Contains("127.0.0.1:")); // the gate names it, the queue does not
    CHECK(server.requests().empty());
    return;
  }
}

TEST_CASE("a call that waits for its turn to connect ends with its permit") {
  SocketServer server{answer_all, 0};
  const FullBacklog full{server};
  Calls calls;
  std::vector<HttpCall> many;
  for (int i = 0; i < 32; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  HttpCall late = calls.call(server.url());
  late.not_after = boot_now() + milliseconds{50};
  const AttemptId attempt = late.attempt;
  calls.start(std::move(late));
  const CallEnded ended = calls.next();
  CHECK(ended.attempt == attempt);
  CHECK(ended.end == CallEnd::too_late);
}

TEST_CASE("calls go over a free connection while no other one comes about") {
  SocketServer server{answer_all, 0};
  Calls calls;
  calls.start(calls.call(server.url()));
  REQUIRE(server.accept_one());
  REQUIRE(calls.next().end == CallEnd::answered);
  const FullBacklog full{server};
  std::vector<HttpCall> many;
  for (int i = 0; i < 100; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  // All but those that are connecting, which could be 32 at most.
  for (int i = 0; i < 68; ++i) REQUIRE(calls.next().end == CallEnd::answered);
  CHECK(server.connections() == 1);
}

TEST_CASE("an aborted call ends as unstarted before it was sent and as aborted after") {
  SocketServer closed{answer_all, 0};
  const FullBacklog full{closed};
  SocketServer server{hang};
  Calls calls;
  HttpCall connecting = calls.call(closed.url());
  HttpCall sent = calls.call(server.url());
  const AttemptId first = connecting.attempt, second = sent.attempt;
  calls.start(std::move(connecting));
  calls.start(std::move(sent));
  REQUIRE(server.wait_for_requests(1));
  calls.client().abort({first});
  const CallEnded one = calls.next();
  CHECK(one.attempt == first);
  CHECK(one.end == CallEnd::unstarted);
  calls.client().abort({second, first, AttemptId{12345}});
  const CallEnded two = calls.next();
  CHECK(two.attempt == second);
  CHECK(two.end == CallEnd::aborted);
  HttpCall withdrawn = calls.call(server.url());
  const AttemptId third = withdrawn.attempt;
  calls.start(std::move(withdrawn));
  calls.client().abort({third});
  const CallEnded three = calls.next();
  CHECK(three.attempt == third);
}

TEST_CASE("destroying the client ends every call exactly once") {
  SocketServer closed{answer_all, 0};
  const FullBacklog full{closed};
  SocketServer server{hang};
  Calls calls;
  std::vector<HttpCall> many;
  std::set<AttemptId> expected;
  for (int i = 0; i < 20; ++i) many.push_back(calls.call(server.url()));
  for (int i = 0; i < 40; ++i) many.push_back(calls.call(closed.url()));
  for (const HttpCall& call : many) expected.insert(call.attempt);
  calls.client().start(std::move(many));
  REQUIRE(server.wait_for_requests(20));
  calls.destroy_client();
  REQUIRE(calls.untaken() == 60);
  std::size_t aborted = 0;
  while (calls.untaken() > 0) {
    const CallEnded ended = calls.next();
    CHECK(expected.erase(ended.attempt) == 1);
    CHECK((ended.end == CallEnd::aborted || ended.end == CallEnd::unstarted));
    aborted += ended.end == CallEnd::aborted ? 1 : 0;
  }
  CHECK(aborted == 20);
}

TEST_CASE("of 300 calls at once no more than 32 are connecting at a time, and all are answered") {
  std::string closed;
  { closed = SocketServer{answer_all}.url(); }
  SocketServer server{answer_all, 0};
  const FullBacklog full{server};
  const std::size_t others = handshakes_to(server.port());
  Calls calls;
  std::vector<HttpCall> many;
  for (int i = 0; i < 300; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  // Refused elsewhere after all of them had their turn: now those that may connect do, and nothing
  // moves until the server accepts.
  CHECK(calls.run(calls.call(closed)).code == "connect_refused");
  std::size_t connecting = 0;
  while (connecting < 16 && calls.untaken() == 0)
    connecting = handshakes_to(server.port()) - others;
  CHECK(connecting <= 32);
  server.accept_from_now();
  for (int i = 0; i < 300; ++i) REQUIRE(calls.next().end == CallEnd::answered);
  CHECK(server.requests().size() == 300);
}

} // namespace curl_client_gate_test
