// HTTP API: the coordinator's routes, and what they say in JSON.
//
//   GET  /healthz /readyz                     the only ones that never ask for the token
//   GET  /metrics                             for Prometheus
//   GET  /api/v1/events?all=true              job_events.hpp says what they are; text/event-stream
//   GET  /api/v1/jobs/ID/events               the same of one job, until it is over
//   POST /api/v1/inputs?name=NAME             body = the file -> {id, path, bytes}
//   DELETE /api/v1/inputs/ID                  an upload that no job has goes
//   POST /api/v1/jobs                         {"spec": {…}} -> 201 and the job
//   GET  /api/v1/jobs?limit=N&after=ID        {"jobs": […], "has_more", "last_id"}, by their ids
//   GET  /api/v1/jobs/ID                      the job
//   GET  /api/v1/jobs/ID/explain?item=ID      why the job, or that item of it, waits;
//                                             number=N: the Nth item; what became of it
//   POST /api/v1/jobs/ID/cancel               the job
//   GET  /api/v1/jobs/ID/results              the result's JSON lines; 409 until it is there
//   GET  /api/v1/jobs/ID/summary              its summary; the same
//   GET  /api/v1/workers                      {"workers": […]}
//   POST /api/v1/workers/NAME/drain           {"workers": […]}, those that were told
//   GET  /api/v1/pools                        {"pools": […]}
//
// An error is {"error": {"code", "message"}}. http_door.hpp says who is heard at all. Invariant: a
// job reads no file of this machine but those that Uploads allows, and writes none but its own
// result.
#pragma once

#include "actors/wiring/questions.hpp"
#include "coordinator/disk/work_threads.hpp"
#include "coordinator/http/api/job_events.hpp"
#include "coordinator/http/server/task.hpp"
#include "coordinator/inputs/job_inputs.hpp"
#include "coordinator/inputs/uploads.hpp"
#include "coordinator/result/line_finder.hpp"

#include <functional>
#include <memory>
#include <string>

namespace gristmill::coordinator {

struct HttpApiOptions {
  std::string state_directory;
  std::string data_root;          // empty: jobs read uploads only
  std::string token;              // empty: nobody is asked for one
  std::string listen;             // HOST:PORT
  std::vector<std::string> hosts; // names that clients may use besides, as HttpDoor takes them

  using Question = decltype(wiring::Ask::question);
  // Of the node: all may be called on any thread.
  std::function<void(Question, std::function<void(wiring::Answer)>)> ask;
  std::function<std::string(const wiring::JobView&)> output_path;
  std::function<Result<std::vector<journal::Segment>>(JobId)> segments; // that are durable

  std::vector<std::vector<InputSpec>> inputs_in_use; // of each job that there is
  JobInputsLimits inputs;
  DiskCalls disk = real_disk(); // of uploads
};

class HttpApi {
public:
  static constexpr std::size_t control_bytes_max = 1u << 20; // of a request that is no upload

  static Result<std::unique_ptr<HttpApi>> open(HttpApiOptions options);

  // What jobs may read.
  const InputRoots& input_roots() const { return uploads_->roots(); }

  // For HttpServerOptions.
  std::unique_ptr<HttpTask> open_task(const HttpRequest& head);
  static bool is_always_answered(const HttpRequest& head); // what tells whether we live

private:
  using Task = std::unique_ptr<HttpTask>;
  struct Route;
  static const std::vector<Route>& routes();
  HttpApi(HttpApiOptions options, std::unique_ptr<Uploads> uploads)
      : options_{std::move(options)}, door_{{!options_.token.empty(), options_.listen,
                                             options_.hosts}},
        uploads_{std::move(uploads)}, job_inputs_{*uploads_, options_.inputs_in_use,
                                                  options_.inputs} {}

  Task health(const HttpRequest& head, JobId job);
  Task ready(const HttpRequest& head, JobId job);
  Task metrics(const HttpRequest& head, JobId job);
  Task events(const HttpRequest& head, JobId job);
  Task job_events(const HttpRequest& head, JobId job);
  Task upload(const HttpRequest& head, JobId job);
  Task discard_upload(const HttpRequest& head, JobId job);
  Task submit(const HttpRequest& head, JobId job);
  Task list_jobs(const HttpRequest& head, JobId job);
  Task show_job(const HttpRequest& head, JobId job);
  Task explain_job(const HttpRequest& head, JobId job);
  Task cancel_job(const HttpRequest& head, JobId job);
  Task pause_job(const HttpRequest& head, JobId job);
  Task resume_job(const HttpRequest& head, JobId job);
  Task retry_job(const HttpRequest& head, JobId job);
  Task forget_job(const HttpRequest& head, JobId job);
  Task results(const HttpRequest& head, JobId job);
  Task summary(const HttpRequest& head, JobId job);
  Task list_workers(const HttpRequest& head, JobId job);
  Task drain_worker(const HttpRequest& head, JobId job);
  Task list_pools(const HttpRequest& head, JobId job);

  bool is_authorized(const HttpRequest& head) const;
  void ask_for_job(JobSpec spec, const Respond& respond);
  // Asks the node when the request is complete, and answers with what `show` makes of it.
  Task asking(HttpApiOptions::Question question, std::function<HttpResponse(wiring::Answer)> show);
  std::unique_ptr<JobEvents> open_job_events();
  HttpResponse stream_events(JobId job, bool all);
  HttpResponse show(const wiring::Answer& answer, int status) const;
  // http_results.cpp: the output of a job that is over, and what lies beside it.
  Task sending(JobId job, const char* suffix, const char* type);
  bool is_gone(const wiring::JobView& job, const char* suffix) const;
  HttpResponse file_at(const std::string& path, const char* type);

  HttpApiOptions options_;
  HttpDoor door_;
  std::unique_ptr<Uploads> uploads_;
  JobInputs job_inputs_;
  LineFinder line_finder_;
  WorkThreads file_readers_{"results", 4};
  std::unique_ptr<JobEvents> job_events_ = open_job_events();
};

} // namespace gristmill::coordinator
