#include "http.hpp"

#include "text.hpp"

#include <charconv>

namespace gristmill::simllm {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto from = text.find_first_not_of(" \t");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

bool parse_whole(std::string_view digits, std::uint64_t& value, int base) {
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return end.ec == std::errc{} && end.ptr == digits.data() + digits.size();
}

} // namespace

HttpReader::State HttpReader::read(std::string_view bytes) {
  const bool head_was_known = head_bytes_ != 0;
  if (!head_was_known) {
    const auto end = bytes.substr(0, most_head_bytes).find("\r\n\r\n");
    if (end == std::string_view::npos) {
      return bytes.size() >= most_head_bytes ? State::bad : State::more;
    }
    head_bytes_ = end + 4;
    chunk_at_ = head_bytes_;
    if (!read_head(bytes.substr(0, end + 2))) return State::bad;
  }
  if (chunked_) {
    if (const State state = read_chunks(bytes); state != State::ready) return state;
  } else {
    used_ = head_bytes_ + static_cast<std::size_t>(content_bytes_);
    if (bytes.size() < used_) return State::more;
  }
  // The bytes may have moved since the head was read, so its views are taken anew.
  if (head_was_known) read_head(bytes.substr(0, head_bytes_ - 2));
  request_.body = chunked_ ? std::string_view(chunks_)
                           : bytes.substr(head_bytes_, static_cast<std::size_t>(content_bytes_));
  return State::ready;
}

bool HttpReader::take_continue() {
  const bool waiting = expects_continue_;
  expects_continue_ = false;
  return waiting;
}

void HttpReader::start_next() {
  request_ = {};
  head_bytes_ = 0;
  content_bytes_ = 0;
  has_length_ = chunked_ = expects_continue_ = false;
  chunks_.clear();
}

bool HttpReader::read_head(std::string_view head) {
  has_length_ = false;
  bool first = true;
  while (!head.empty()) {
    const auto end = head.find("\r\n");
    const auto line = head.substr(0, end);
    if (!(first ? read_request_line(line) : read_header(line))) return false;
    first = false;
    head.remove_prefix(end + 2);
  }
  return !(chunked_ && has_length_) && content_bytes_ <= most_body_bytes;
}

bool HttpReader::read_request_line(std::string_view line) {
  const auto method_end = line.find(' ');
  const auto target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || target_end == method_end) return false;
  const auto version = line.substr(target_end + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  request_.method = line.substr(0, method_end);
  const auto target = line.substr(method_end + 1, target_end - method_end - 1);
  request_.path = target.substr(0, target.find('?'));
  request_.keep_alive = version == "HTTP/1.1";
  return !request_.method.empty() && target.starts_with('/');
}

bool HttpReader::read_header(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  const auto name = line.substr(0, colon);
  if (name.find_first_of(" \t") != std::string_view::npos) return false;
  const auto value = trimmed(line.substr(colon + 1));
  if (equal_ignoring_case(name, "content-length")) {
    if (has_length_ || !parse_whole(value, content_bytes_, 10)) return false;
    has_length_ = true;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    if (!equal_ignoring_case(value, "chunked")) return false;
    chunked_ = true;
  } else if (equal_ignoring_case(name, "connection")) {
    if (equal_ignoring_case(value, "close")) request_.keep_alive = false;
    if (equal_ignoring_case(value, "keep-alive")) request_.keep_alive = true;
  } else if (equal_ignoring_case(name, "expect")) {
    expects_continue_ = equal_ignoring_case(value, "100-continue");
  } else if (equal_ignoring_case(name, "x-request-id")) {
    request_.request_id = value;
  } else if (equal_ignoring_case(name, "authorization")) {
    request_.authorization = value;
  }
  return true;
}

//   chunk = size in hex [";" extension] CRLF bytes CRLF, ended by a chunk of size 0, trailer lines
//   and an empty line. Scanning goes on where the last complete chunk ended.
HttpReader::State HttpReader::read_chunks(std::string_view bytes) {
  for (;;) {
    const auto line_end = bytes.find("\r\n", chunk_at_);
    if (line_end == std::string_view::npos) {
      return bytes.size() - chunk_at_ > most_head_bytes ? State::bad : State::more;
    }
    const auto line = bytes.substr(chunk_at_, line_end - chunk_at_);
    std::uint64_t size = 0;
    if (!parse_whole(trimmed(line.substr(0, line.find(';'))), size, 16)) return State::bad;
    if (size > most_body_bytes - chunks_.size()) return State::bad;
    const std::size_t from = line_end + 2;
    if (size == 0) {
      const auto end = bytes.find("\r\n\r\n", line_end);
      if (end == std::string_view::npos) return State::more;
      used_ = end + 4;
      return State::ready;
    }
    const auto length = static_cast<std::size_t>(size);
    if (bytes.size() < from + length + 2) return State::more;
    if (bytes.substr(from + length, 2) != "\r\n") return State::bad;
    chunks_.append(bytes.substr(from, length));
    chunks_.reserve(chunks_.size() + spare_bytes_);
    chunk_at_ = from + length + 2;
  }
}

} // namespace gristmill::simllm
