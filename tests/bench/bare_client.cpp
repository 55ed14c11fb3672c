// gristmill-bench-bare: sends an OpenAI batch file to a server as fast as plain libcurl allows.
//
// It is the yardstick of the benchmarks, so it does what any honest client must do and nothing
// else: read each line, post its body over kept-alive connections, parse the reply strictly, write
// the answer. No retries, no order, no journal. What a real engine costs more than this is its
// price.
//
// Invariant: an item counts as ok only when the status was 200 and the whole reply was valid JSON
// with a string at choices[0].message.content and integer usage.

#include "bare_engine.hpp"
#include "bare_files.hpp"

#include <CLI/CLI.hpp>
#include <curl/curl.h>
#include <simdjson.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <utility>

namespace gristmill::bench {
namespace {

struct Options {
  std::string input;
  std::string output;
  std::string endpoint;
  std::size_t concurrency = 64;
  long timeout_s = 600;
};

// One transfer at a time, over and over; the line is kept because libcurl does not copy the body.
struct Slot {
  std::size_t number = 0;
  CURL* easy = nullptr;
  std::string line;
  std::string_view custom_id; // raw JSON, a view into line
  std::string url;
  std::string reply;
  bool sent = false; // this item's request has gone out once
};

class Client {
public:
  explicit Client(const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void run();
  std::uint64_t items() const { return items_; }
  std::uint64_t ok() const { return ok_; }

private:
  static int allow_once(void* slot, char*, char*, int, int);
  static std::size_t collect(char* bytes, std::size_t size, std::size_t count, void* slot);

  void prepare(Slot& slot);
  bool start_next(Slot& slot);
  void post(Slot& slot, std::string_view path, std::string_view body);
  void finish(CURL* easy, CURLcode code);
  bool read_answer(std::string& reply, std::string_view& content);

  const Options& options_;
  std::string base_; // the endpoint without a /v1 at its end, which the lines' url brings along
  LineReader input_;
  LineWriter output_;
  Engine engine_;
  curl_slist* headers_ = nullptr;
  std::deque<Slot> slots_;
  simdjson::ondemand::parser line_parser_;
  simdjson::dom::parser reply_parser_;
  std::uint64_t lines_ = 0;
  std::uint64_t items_ = 0;
  std::uint64_t ok_ = 0;
};

void append_json(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  out += '"';
}

Client::Client(const Options& options)
    : options_(options), base_(options.endpoint), input_(options.input), output_(options.output),
      engine_(options.concurrency, [this](CURL* easy, CURLcode code) { finish(easy, code); }) {
  while (base_.ends_with('/')) base_.pop_back();
  if (base_.ends_with("/v1")) base_.resize(base_.size() - 3);
  headers_ = curl_slist_append(headers_, "Content-Type: application/json");
  headers_ = curl_slist_append(headers_, "Expect:");
}

Client::~Client() {
  for (auto& slot : slots_) curl_easy_cleanup(slot.easy);
  curl_slist_free_all(headers_);
}

void Client::run() {
  for (std::size_t number = 0; number < options_.concurrency; ++number) {
    Slot& slot = slots_.emplace_back();
    slot.number = number;
    prepare(slot);
    if (!start_next(slot)) break;
  }
  engine_.run();
  output_.flush();
}

void Client::prepare(Slot& slot) {
  slot.easy = curl_easy_init();
  if (slot.easy == nullptr) throw std::runtime_error("curl_easy_init failed");
  curl_easy_setopt(slot.easy, CURLOPT_PRIVATE, &slot);
  curl_easy_setopt(slot.easy, CURLOPT_POST, 1L);
  curl_easy_setopt(slot.easy, CURLOPT_HTTPHEADER, headers_);
  curl_easy_setopt(slot.easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(slot.easy, CURLOPT_WRITEFUNCTION, &Client::collect);
  curl_easy_setopt(slot.easy, CURLOPT_WRITEDATA, &slot);
  curl_easy_setopt(slot.easy, CURLOPT_PREREQFUNCTION, &Client::allow_once);
  curl_easy_setopt(slot.easy, CURLOPT_PREREQDATA, &slot);
  curl_easy_setopt(slot.easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(slot.easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(slot.easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(slot.easy, CURLOPT_BUFFERSIZE, 16384L);
  curl_easy_setopt(slot.easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
  curl_easy_setopt(slot.easy, CURLOPT_TIMEOUT, options_.timeout_s);
}

// Left alone, libcurl repeats a request by itself when a kept-alive connection ends before the
// first byte of its reply, although the server may have done the work: a duplicate that nobody
// counts.
int Client::allow_once(void* user, char*, char*, int, int) {
  const bool again = std::exchange(static_cast<Slot*>(user)->sent, true);
  return again ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

std::size_t Client::collect(char* bytes, std::size_t size, std::size_t count, void* user) {
  static_cast<Slot*>(user)->reply.append(bytes, size * count);
  return size * count;
}

bool Client::start_next(Slot& slot) {
  std::string_view line;
  do {
    if (!input_.next(line)) return false;
    ++lines_;
  } while (line.find_first_not_of(" \t\r") == std::string_view::npos);
  slot.line.reserve(line.size() + simdjson::SIMDJSON_PADDING);
  slot.line.assign(line);
  try {
    simdjson::ondemand::document item = line_parser_.iterate(slot.line);
    slot.custom_id = item["custom_id"].raw_json_token();
    slot.custom_id = slot.custom_id.substr(0, slot.custom_id.find_last_of('"') + 1);
    const std::string_view path = item["url"];
    simdjson::ondemand::object body = item["body"];
    post(slot, path, body.raw_json());
  } catch (const simdjson::simdjson_error& error) {
    throw std::runtime_error(options_.input + ":" + std::to_string(lines_) + ": " + error.what());
  }
  return true;
}

void Client::post(Slot& slot, std::string_view path, std::string_view body) {
  slot.url.assign(base_).append(path);
  slot.reply.clear();
  slot.sent = false;
  curl_easy_setopt(slot.easy, CURLOPT_URL, slot.url.c_str());
  curl_easy_setopt(slot.easy, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(slot.easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  ++items_;
  engine_.start(slot.number, slot.easy);
}

void Client::finish(CURL* easy, CURLcode code) {
  char* user = nullptr;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  Slot& slot = *reinterpret_cast<Slot*>(user);
  std::string_view content;
  const bool good = code == CURLE_OK && status == 200 && read_answer(slot.reply, content);
  std::string& out = output_.pending();
  out.append("{\"custom_id\":").append(slot.custom_id).append(",\"content\":");
  if (good) {
    append_json(out, content);
    ++ok_;
  } else {
    out += "null";
  }
  out += "}\n";
  output_.write_if_full();
  start_next(slot);
}

// The document parser reads every byte, so a cut reply is never taken for an answer.
bool Client::read_answer(std::string& reply, std::string_view& content) {
  reply.reserve(reply.size() + simdjson::SIMDJSON_PADDING);
  simdjson::dom::element root;
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  return reply_parser_.parse(reply.data(), reply.size(), false).get(root) == simdjson::SUCCESS &&
         root["choices"].at(0)["message"]["content"].get(content) == simdjson::SUCCESS &&
         root["usage"]["prompt_tokens"].get(prompt_tokens) == simdjson::SUCCESS &&
         root["usage"]["completion_tokens"].get(completion_tokens) == simdjson::SUCCESS;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void measure(const Options& options) {
  using Clock = std::chrono::steady_clock;
  Client client(options);
  const auto begin = Clock::now();
  client.run();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
  const auto items = static_cast<double>(client.items());
  std::printf("{\"items\":%llu,\"ok\":%llu,\"seconds\":%.3f,\"items_per_s\":%.1f,"
              "\"cpu_s_per_1000\":%.4f,\"peak_rss_mb\":%.1f}\n",
              static_cast<unsigned long long>(client.items()),
              static_cast<unsigned long long>(client.ok()), seconds,
              seconds > 0 ? items / seconds : 0, items > 0 ? cpu_s * 1000 / items : 0,
              static_cast<double>(usage.ru_maxrss) / 1024);
}

} // namespace
} // namespace gristmill::bench

int main(int argc, char** argv) {
  gristmill::bench::Options options;
  CLI::App app("Posts every line of an OpenAI batch file and prints what that took.",
               "gristmill-bench-bare");
  app.add_option("input", options.input, "Batch input, JSONL")->required();
  app.add_option("--endpoint", options.endpoint, "http://HOST:PORT, with or without /v1")
      ->required();
  app.add_option("-o,--output", options.output, "Where the answers go, in order of completion")
      ->required();
  app.add_option("--concurrency", options.concurrency, "Calls in flight")
      ->check(CLI::Range(std::size_t{1}, std::size_t{60000}))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_s, "Seconds after which a call has failed")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    gristmill::bench::raise_descriptor_limit();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    gristmill::bench::measure(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gristmill-bench-bare: %s\n", error.what());
    return 2;
  }
}
