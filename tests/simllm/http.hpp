// Reading one HTTP/1.1 request from the bytes that have come so far.
//
// Understood: request line, headers, a body by Content-Length or chunked, `Expect: 100-continue`,
// keep-alive and `Connection: close`. Anything else, a folded header or both body lengths at once,
// is refused, because a test partner that guesses hides faults of the program it tests.
//
// `read` is called with all bytes since the request's start, again with more of them until it says
// `ready` or `bad`; the bytes may have moved in between. Invariant: `request()` is good only after
// `ready` and points into the bytes of that last call, or into the reader for a chunked body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::simllm {

struct HttpRequest {
  std::string_view method;
  std::string_view path; // without the query
  std::string_view body;
  std::string_view request_id;    // X-Request-Id
  std::string_view authorization; // Authorization
  bool keep_alive = true;
};

class HttpReader {
public:
  enum class State { more, ready, bad };
  static constexpr std::size_t most_head_bytes = 64u << 10;
  static constexpr std::size_t most_body_bytes = 256u << 20;

  // Chunked bodies are gathered with this many spare bytes after them, for parsers that read ahead.
  explicit HttpReader(std::size_t spare_bytes) : spare_bytes_(spare_bytes) {}

  State read(std::string_view bytes);
  const HttpRequest& request() const { return request_; }
  std::size_t used_bytes() const { return used_; } // after ready
  bool take_continue(); // true once, when the client waits for leave to send its body
  void start_next();

private:
  bool read_head(std::string_view head);
  bool read_request_line(std::string_view line);
  bool read_header(std::string_view line);
  State read_chunks(std::string_view bytes);

  std::size_t spare_bytes_;
  HttpRequest request_;
  std::size_t head_bytes_ = 0; // 0: the head is not complete yet
  std::uint64_t content_bytes_ = 0;
  bool has_length_ = false;
  bool chunked_ = false;
  bool expects_continue_ = false;
  std::size_t chunk_at_ = 0;
  std::string chunks_;
  std::size_t used_ = 0;
};

} // namespace gristmill::simllm
