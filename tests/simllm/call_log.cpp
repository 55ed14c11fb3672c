#include "call_log.hpp"

#include "text.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::simllm {
namespace {

constexpr std::size_t piece_bytes = 256u << 10;

void append_field(std::string& out, std::string_view name, std::uint64_t value) {
  out.append(",\"").append(name).append("\":");
  append_number(out, value);
}

} // namespace

CallLog::CallLog(const std::string& path) {
  if (path.empty()) return;
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) throw std::system_error(errno, std::generic_category(), "log file " + path);
  pending_.reserve(piece_bytes + 4096);
}

CallLog::~CallLog() {
  if (file_ < 0) return;
  flush();
  ::close(file_);
}

void CallLog::add(const LogEntry& entry) {
  if (file_ < 0) return;
  std::string& out = pending_;
  out += "{\"n\":";
  append_number(out, entry.n);
  append_field(out, "t_ns", entry.t_ns);
  out += ",\"attempt\":";
  append_json_latin1(out, entry.attempt);
  out += ",\"path\":";
  append_json_latin1(out, entry.path);
  out += ",\"model\":";
  append_json(out, entry.model);
  out += ",\"crc\":\"";
  append_hex8(out, entry.crc);
  out += "\",\"status\":";
  append_number(out, entry.status);
  out.append(",\"fault\":\"").append(entry.fault).append("\"");
  append_field(out, "prompt_tokens", entry.prompt_tokens);
  append_field(out, "completion_tokens", entry.completion_tokens);
  append_field(out, "connection", entry.connection);
  append_field(out, "latency_us", entry.latency_us);
  if (entry.cached_tokens != 0) append_field(out, "cached_tokens", entry.cached_tokens);
  if (entry.inputs != 0) append_field(out, "inputs", entry.inputs);
  if (entry.body) {
    out += ",\"body\":";
    append_json(out, *entry.body);
  }
  out += "}\n";
  if (out.size() >= piece_bytes) flush();
}

void CallLog::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const auto written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      // A test without its log has failed; going on would only hide where.
      std::perror("gristmill-simllm: cannot write the call log");
      ::_exit(1);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  pending_.clear();
}

} // namespace gristmill::simllm
