#include "cli/cluster/client.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/own_files.hpp"
#include "cli/text_file.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "coordinator/result/part_file.hpp"
#include "protocol/text/json_tree.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <thread>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;
using Json = ClusterClient::Json;

constexpr std::size_t jobs_page = 500;
constexpr auto ask_again_after = std::chrono::milliseconds{500};

ErrorCode code_of(long status) {
  switch (status) {
  case 404: return ErrorCode::not_found;
  case 409: return ErrorCode::conflict;
  case 503:
  case 504: return ErrorCode::unavailable;
  case 507: return ErrorCode::disk_full;
  default: return status >= 500 ? ErrorCode::internal : ErrorCode::usage;
  }
}

// The server's own sentence; of one that is no coordinator, what it was.
Result<HttpAnswer> checked(HttpAnswer answer, const std::string& server) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  const Json json = json::tree(answer.body).value_or(Json());
  std::string sentence = fmt::format("expected an answer of a coordinator from {}, got status {}",
                                     server, answer.status);
  if (json.is_object() && json.contains("error") && json["error"].is_object())
    sentence = json["error"].value("message", sentence);
  if (answer.status == 401) sentence += "; give --token-file F or set GRISTMILL_TOKEN";
  return fail(code_of(answer.status), std::move(sentence));
}

Result<Json> json_of(Result<HttpAnswer> answer) {
  GRISTMILL_TRY(answer);
  auto json = json::tree(answer->body);
  if (!json) return fail(ErrorCode::bad_input, "from the coordinator: " + json.error().message);
  return json;
}

Result<wiring::JobView> job_of(Result<HttpAnswer> answer) {
  auto json = json_of(std::move(answer));
  GRISTMILL_TRY(json);
  return coordinator::job_view_of(*json);
}

// Whether the summary at this path is of a result that a coordinator made for this job; that of a
// `gristmill run` stands where its user wanted it.
bool is_summary_of(JobId job, const std::string& path) {
  const auto text = text_of_file("-o", path);
  const Json json = text ? json::tree(*text).value_or(Json()) : Json();
  if (!json.is_object() || json.value("job", Json()) != to_string(job)) return false;
  const Json output = json.value("output", Json());
  const Json place = output.is_object() ? output.value("path", Json()) : Json();
  return place.is_string() &&
         place.get<std::string>().ends_with(fmt::format("/jobs/{}/output.jsonl", job.value));
}

// A result of another job may be an input of this one, which its user alone can tell.
Result<> refuse_other_result(JobId job, const std::string& output) {
  std::error_code error;
  if (!fs::exists(output, error) || fs::file_size(output, error) == 0) return {};
  const std::string summary = output + ".summary.json";
  if (is_summary_of(job, summary)) return {};
  return fail(ErrorCode::usage,
              fmt::format("-o: expected a new file or an earlier result of {}, as its {} says it, "
                          "got {}, which is another result and is not replaced: give another -o, "
                          "or move it away",
                          to_string(job), summary, output));
}

} // namespace

Result<HttpAnswer> ClusterClient::order(const HttpCall& call) {
  auto answer = http_.call(call);
  GRISTMILL_TRY(answer);
  return checked(std::move(*answer), http_.server());
}

Result<HttpAnswer> ClusterClient::patiently(const std::function<Result<HttpAnswer>()>& once) {
  const auto give_up_at = std::chrono::steady_clock::now() + patience_;
  for (bool said = false;; said = true) {
    auto answer = once();
    const bool gone = !answer && answer.error().code == ErrorCode::unavailable;
    if (!gone || std::chrono::steady_clock::now() >= give_up_at) return answer;
    if (!said)
      say(fmt::format("{}; asking again for {} s\n", answer.error().message, patience_.count()));
    std::this_thread::sleep_for(ask_again_after);
  }
}

Result<HttpAnswer> ClusterClient::question(const HttpCall& call) {
  return patiently([&] { return order(call); });
}

Result<ClusterClient::Uploaded> ClusterClient::upload(const std::string& name,
                                                      std::optional<std::uint64_t> bytes,
                                                      decltype(HttpCall::upload) source) {
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/inputs?name=" + url_encoded(name);
  call.upload = std::move(source);
  call.upload_bytes = bytes;
  const auto json = json_of(order(call));
  GRISTMILL_TRY(json);
  Uploaded uploaded;
  for (auto [member, into] : {std::pair{"id", &uploaded.id}, std::pair{"path", &uploaded.path}}) {
    const auto found = json->find(member);
    if (found == json->end() || !found->is_string())
      return fail(ErrorCode::bad_input, "expected the place of the uploaded file, got none");
    *into = found->get<std::string>();
  }
  return uploaded;
}

Result<> ClusterClient::discard(const std::string& upload) {
  HttpCall call;
  call.method = "DELETE";
  call.path = "/api/v1/inputs/" + url_encoded(upload);
  GRISTMILL_TRY(order(call));
  return {};
}

Result<wiring::JobView> ClusterClient::submit(const JobSpec& spec) {
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/jobs";
  call.body = "{\"spec\":" + to_json(spec) + "}";
  return job_of(order(call));
}

Result<ClusterClient::Appended> ClusterClient::append(const std::string& job,
                                                      const std::string& key,
                                                      const std::vector<InputSpec>& inputs) {
  Json all = Json::array();
  for (const InputSpec& input : inputs) {
    Json one{{"path", input.path}, {"name", input.name}};
    if (input.offset > 0) {
      one["offset"] = input.offset;
      one["bytes"] = input.bytes;
    }
    all.push_back(std::move(one));
  }
  Json body{{"inputs", std::move(all)}};
  if (!key.empty()) body["key"] = key;
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/jobs/" + url_encoded(job) + "/appends";
  call.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  auto told = json_of(order(call));
  GRISTMILL_TRY(told);
  Appended appended;
  try {
    told->at("number").get_to(appended.number);
    told->at("repeated").get_to(appended.repeated);
    told->at("inputs").get_to(appended.inputs);
  } catch (const Json::exception& e) {
    return fail(
        ErrorCode::bad_input,
        fmt::format("expected the number of the append from the coordinator: {}", e.what()));
  }
  appended.told = std::move(*told);
  return appended;
}

Result<ClusterClient::Lines> ClusterClient::lines(const std::string& job, journal::LineKind kind,
                                                  const std::string& from) {
  Lines lines;
  HttpCall call;
  call.path =
      "/api/v1/jobs/" + url_encoded(job) + (kind == journal::LineKind::parts ? "/parts" : "/lines");
  if (!from.empty()) call.path += "?from=" + url_encoded(from);
  call.header = "Gristmill-Next";
  // A single line may be longer than what an answer may have that is not downloaded.
  call.download = [&](std::string_view piece) {
    lines.text += piece;
    return true;
  };
  auto answer = patiently([&] {
    lines.text.clear(); // what came before a cut
    return order(call);
  });
  GRISTMILL_TRY(answer);
  lines.next = std::move(answer->header);
  if (lines.next.empty())
    return fail(ErrorCode::bad_input, "expected the header Gristmill-Next from the coordinator, "
                                      "got none: are both of the same version?");
  return lines;
}

Result<wiring::JobView> ClusterClient::resume(const std::string& job, Usd budget) {
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/jobs/" + url_encoded(job) + "/resume";
  if (budget)
    call.body =
        Json{{"budget_usd", budget.usd()}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  return job_of(order(call));
}

Result<wiring::JobView> ClusterClient::change(const std::string& job, const std::string& what) {
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/jobs/" + url_encoded(job) + "/" + what;
  return job_of(order(call));
}

Result<wiring::JobView> ClusterClient::forget(const std::string& job) {
  HttpCall call;
  call.method = "DELETE";
  call.path = "/api/v1/jobs/" + url_encoded(job);
  return job_of(order(call));
}

Result<wiring::JobView> ClusterClient::show(const std::string& job) {
  HttpCall call;
  call.path = "/api/v1/jobs/" + url_encoded(job);
  return job_of(question(call));
}

Result<Json> ClusterClient::drain(const std::string& worker) {
  HttpCall call;
  call.method = "POST";
  call.path = "/api/v1/workers/" + url_encoded(worker) + "/drain";
  return json_of(order(call));
}

Result<Json> ClusterClient::ask(const std::string& path) {
  HttpCall call;
  call.path = path;
  return json_of(question(call));
}

// The list of jobs, which comes in pages.
Result<Json> ClusterClient::jobs() {
  Json all = Json::array();
  for (std::string after;;) {
    auto page = ask(fmt::format("/api/v1/jobs?limit={}{}", jobs_page, after));
    GRISTMILL_TRY(page);
    if (!page->is_object() || !page->contains("jobs") || !(*page)["jobs"].is_array())
      return fail(ErrorCode::bad_input, "expected a list of jobs from the coordinator, got none");
    for (Json& job : (*page)["jobs"]) all.push_back(std::move(job));
    const Json last = page->value("last_id", Json());
    if (page->value("has_more", Json()) != true || !last.is_string())
      return Json{{"jobs", std::move(all)}};
    after = "&after=" + url_encoded(last.get<std::string>());
  }
}

Result<> ClusterClient::check_output(const std::string& output) {
  const OutputForm form = output_form(output);
  if (form == OutputForm::stream || form == OutputForm::npy)
    return fail(
        ErrorCode::usage,
        fmt::format("-o: expected a file for JSON lines (.gz and .zst compress it), because "
                    "a coordinator keeps lines, got {}; `gristmill run` writes {}",
                    output, form == OutputForm::npy ? "arrays" : "to standard output"));
  GRISTMILL_TRY(OwnFiles{output, ""}.refuse_foreign());
  return coordinator::PartFile::probe(output);
}

Result<> ClusterClient::download_file(const std::string& path, const std::string& output,
                                      OutputForm form) {
  std::unique_ptr<coordinator::PartFile> file;
  Result<> kept;
  HttpCall call;
  call.path = path;
  call.download = [&](std::string_view piece) {
    kept = file->append(piece);
    return kept.has_value();
  };
  const auto answer = patiently([&]() -> Result<HttpAnswer> {
    file.reset(); // what came before a cut
    auto created = coordinator::PartFile::create(output, {form});
    GRISTMILL_TRY(created);
    file = std::move(*created);
    return order(call);
  });
  GRISTMILL_TRY(kept);
  GRISTMILL_TRY(answer);
  return file->finish();
}

// What was printed cannot be taken back, so a cut is not asked for again.
Result<> ClusterClient::print_file(const std::string& path) {
  Result<> printed;
  const coordinator::FileDescriptor out{::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
  HttpCall call;
  call.path = path;
  call.download = [&](std::string_view piece) {
    printed = coordinator::write_all(out, piece, "standard output");
    return printed.has_value();
  };
  const auto answer = order(call);
  GRISTMILL_TRY(printed);
  GRISTMILL_TRY(answer);
  return {};
}

Result<> ClusterClient::download(const std::string& job, const std::string& output) {
  const std::string base = "/api/v1/jobs/" + url_encoded(job);
  if (output == "-") return print_file(base + "/results");
  GRISTMILL_TRY(check_output(output));
  const auto shown = show(job);
  GRISTMILL_TRY(shown);
  GRISTMILL_TRY(refuse_other_result(shown->id, output));
  // The summary first: it says whose the result is, should this end between the two.
  const std::string summary = output + ".summary.json";
  GRISTMILL_TRY(download_file(base + "/summary", summary, OutputForm::lines));
  return download_file(base + "/results", output, output_form(output));
}

} // namespace gristmill::cli
