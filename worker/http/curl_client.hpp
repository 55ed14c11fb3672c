// CURL CLIENT: the model client over libcurl. One thread drives any number of calls.
//
// Calls come through an inbox; each goes to a shard at once when it can take over a free
// connection, or waits here while too many others are connecting (connection_book.hpp), so that
// libcurl's timeouts run only for calls that are its turn. What ended in one round of the thread
// is reported in one batch. A page goes the same way, ahead of the calls that wait for its host.
// Invariant: every started call ends in exactly one CallEnded, also when the client is destroyed.
#pragma once

#include "actors/worker/model_client.hpp"
#include "protocol/result.hpp"

#include <memory>
#include <string>

namespace gristmill::worker {

struct CurlClientOptions {
  std::string ca_file; // PEM, beside the system's certificates; empty = those only
  std::string proxy;   // empty = none, whatever the environment says
};

// usage: the file of --ca-file cannot be read, or holds no certificate. Empty = none is given.
Result<> check_ca_file(const std::string& path);

class CurlClient : public ModelClient {
public:
  explicit CurlClient(ModelClientEvents events, CurlClientOptions options = {});
  // Aborts what is left, reports it, and joins the thread.
  ~CurlClient() override;

  void start(std::vector<HttpCall> calls) override;
  void abort(std::vector<AttemptId> attempts) override;
  void read(std::vector<PageRead> pages) override;

private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

} // namespace gristmill::worker
