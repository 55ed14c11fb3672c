#include "coordinator/http/api/metrics.hpp"

#include "actors/kit/clock.hpp"
#include "coordinator/http/api/metrics_text.hpp"

#include <iterator>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t scraped_page = 1'000;

// A scrape being put together: asked one after the other, because it need not be of one instant.
struct Scrape : std::enable_shared_from_this<Scrape> {
  AskNode ask_node;
  Respond respond;
  ClusterView view;

  template <class Then> void ask(Question question, Then then) {
    ask_node(std::move(question),
             unless_refused(respond, [self = shared_from_this(), then](wiring::Answer answer) {
               then(*self, std::move(answer));
             }));
  }

  void ask_for_jobs(JobId after) {
    wiring::ListJobs page;
    page.after = after;
    page.limit = scraped_page;
    ask(std::move(page), [](Scrape& self, wiring::Answer answer) {
      std::move(answer.jobs.begin(), answer.jobs.end(), std::back_inserter(self.view.jobs));
      answer.more.value != 0 ? self.ask_for_jobs(answer.more) : self.ask_for_workers();
    });
  }

  void ask_for_workers() {
    ask(wiring::ListWorkers{}, [](Scrape& self, wiring::Answer answer) {
      self.view.workers = std::move(answer.workers);
      self.ask_for_pools();
    });
  }

  void ask_for_pools() {
    ask(wiring::ListPools{true}, [](Scrape& self, wiring::Answer answer) {
      self.view.pools = std::move(answer.pools);
      HttpResponse response;
      response.content_type = metrics_content_type;
      response.body = metrics_of(self.view, wall_seconds());
      self.respond(std::move(response));
    });
  }
};

} // namespace

std::vector<Route> MetricsResource::routes() {
  return {
      {"GET", "/metrics",
       [this](const HttpRequest&, const Segments&) {
         return gathered(control_bytes_max, [ask = ask_](std::string, Respond respond) {
           const auto scrape = std::make_shared<Scrape>();
           scrape->ask_node = ask;
           scrape->respond = std::move(respond);
           scrape->ask_for_jobs({});
         });
       }},
  };
}

} // namespace gristmill::coordinator
