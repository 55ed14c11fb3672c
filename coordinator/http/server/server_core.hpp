// The inside of the HTTP server: its exchanges, and what the library calls for each. Private to
// server*.cpp. Invariant: a connection that is suspended is in `waiting` or is asleep in `streams`,
// so that whoever stops the server can give each back to the library.
//
//   reading ⇄ working     the task is at what takes long; the library reads no further
//   reading → waiting → answered
#pragma once

#include "actors/kit/time.hpp"
#include "coordinator/http/server/connections.hpp"
#include "coordinator/http/server/server.hpp"
#include "coordinator/http/server/streamed_answers.hpp"

#include <condition_variable>
#include <microhttpd.h>
#include <mutex>
#include <set>
#include <thread>

namespace gristmill::coordinator {

// A request from its first line to the last byte of its answer.
struct Exchange {
  explicit Exchange(MHD_Connection* c);

  MHD_Connection* connection;
  int socket;
  std::string fault;   // of its first line
  bool opened = false; // its head was whole
  std::unique_ptr<HttpTask> task;
  std::optional<std::uint64_t> rest; // bytes of the body that are still to come, if that is known
  bool may_wait = true;              // a refusal of the body waits until it has come
  bool admitted = false;             // that was decided
  bool takes = true;                 // the task still wants the body
  bool told = false;                 // refused in the middle of it
  std::uint64_t discarded_bytes = 0;

  // Under the core's mutex.
  enum class State : std::uint8_t { reading, working, waiting, answered };
  State state = State::reading;
  bool cut = false; // the library is to close it
  Time answer_by{}; // while working or waiting
  HttpResponse response;
};
using SharedExchange = std::shared_ptr<Exchange>;

struct HttpServer::Core : std::enable_shared_from_this<Core> {
  HttpServerOptions options;
  std::string address;
  MHD_Daemon* daemon = nullptr;
  HttpConnections connections;
  const std::shared_ptr<StreamedAnswers> streams = std::make_shared<StreamedAnswers>();
  std::thread watch; // that looks at connections now and then

  explicit Core(HttpServerOptions o) : options{std::move(o)}, connections{options.places} {}

  std::mutex mutex;
  std::condition_variable ended, stopping;
  std::size_t open_exchanges = 0;
  bool draining = false, stopped = false;
  std::set<SharedExchange> waiting; // suspended: the library must get each of them back

  MHD_Result begin(const SharedExchange& exchange, const char* path, const char* method);
  MHD_Result admit(const SharedExchange& exchange);
  MHD_Result go_on(const SharedExchange& exchange, std::string_view piece);
  MHD_Result finish(const SharedExchange& exchange);
  MHD_Result discard(Exchange& exchange, std::size_t bytes);
  bool suspend(const SharedExchange& exchange, Exchange::State state);
  MHD_Result work(const SharedExchange& exchange);
  void worked(const SharedExchange& exchange);
  void refuse(Exchange& exchange);
  void tell(Exchange& exchange);
  std::unique_ptr<HttpTask> task_for(const Exchange& exchange, const HttpRequest& head,
                                     bool has_place);
  void answer(const SharedExchange& exchange, HttpResponse response);
  void answer_locked(SharedExchange exchange, HttpResponse response);
  void resume_locked(const SharedExchange& exchange, Exchange::State state);
  void look_until_stopped();
  void give_up_late_ones(Time now);

  static MHD_Result on_peer(void* core, const sockaddr* peer, socklen_t bytes);
  static void on_connection(void* core, MHD_Connection* connection, void** state,
                            MHD_ConnectionNotificationCode code);
  static void* on_target(void* core, const char* target, MHD_Connection* connection);
  static MHD_Result on_request(void* core, MHD_Connection* connection, const char* path,
                               const char* method, const char* version, const char* data,
                               std::size_t* data_bytes, void** state);
  static void on_completed(void* core, MHD_Connection* connection, void** state,
                           MHD_RequestTerminationCode code);
};

} // namespace gristmill::coordinator
