// HTTP API: the coordinator's answers to clients: who is heard, which route a request goes to, and
// the resources behind the routes (api/), each of which lists its own.
//
// An error is {"error": {"code", "message"}}. door.hpp says who is heard at all.
// Invariant: whoever has no token where one is needed learns nothing, not even which routes there
// are, but whether the coordinator lives.
#pragma once

#include "actors/journal/blob_store.hpp"
#include "actors/journal/line_store.hpp"
#include "coordinator/http/api/asking.hpp"
#include "coordinator/http/bearer_token.hpp"
#include "coordinator/http/router.hpp"
#include "coordinator/inputs/job_inputs.hpp"
#include "coordinator/inputs/uploads.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct HttpApiOptions {
  std::string state_directory;
  std::string data_root;          // empty: jobs read uploads only
  std::string token;              // empty: nobody is asked for one
  std::string listen;             // HOST:PORT
  std::vector<std::string> hosts; // names that clients may use besides, as HttpDoor takes them

  // Of the node: both may be called on any thread.
  AskNode ask;
  // … that are durable.
  std::function<Result<std::shared_ptr<journal::JobLines>>(JobId, journal::LineKind)> lines;

  std::vector<std::vector<InputSpec>> inputs_in_use; // of each job that there is
  JobInputsLimits inputs;
  std::shared_ptr<journal::BlobStore> blobs;
};

class HttpApi {
public:
  static Result<std::unique_ptr<HttpApi>> open(const HttpApiOptions& options);

  // What jobs may read.
  const InputRoots& input_roots() const { return uploads_->roots(); }

  // For HttpServerOptions.
  std::unique_ptr<HttpTask> open_task(const HttpRequest& head) const;
  bool is_always_answered(const HttpRequest& head) const;

private:
  HttpApi(const HttpApiOptions& options, std::unique_ptr<Uploads> uploads);

  BearerToken token_;
  HttpDoor door_;
  std::unique_ptr<Uploads> uploads_;
  JobInputs job_inputs_;
  std::vector<std::unique_ptr<Resource>> resources_;
  Router router_;
};

} // namespace gristmill::coordinator
