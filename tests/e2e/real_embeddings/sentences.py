"""Five hundred English sentences of ten topics, the same ones each time. Those of a topic are near each
other, so that an embedding model that reads them has something to tell apart.
"""

# (subjects, what they do, when or where): five, five and two, of which each combination is a sentence.
TOPICS = {
    "weather": (
        ["A cold front", "Heavy rain", "Thick fog", "A thunderstorm", "Strong wind from the west"],
        ["is expected along the coast", "will reach the mountain valleys", "kept the ferries in the harbour",
         "surprised the forecasters", "brought the temperature down"],
        ["this evening", "before the weekend"]),
    "cooking": (
        ["The onion soup", "My grandmother's apple pie", "This tomato sauce", "A good risotto", "The roast lamb"],
        ["needs a little more salt", "should simmer on a low flame", "tastes best with fresh herbs",
         "is served with warm bread", "took the whole afternoon to prepare"],
        ["in our kitchen", "at the family dinner"]),
    "machines": (
        ["The diesel engine", "A worn ball bearing", "The hydraulic press", "The conveyor belt",
         "The gearbox of the lathe"],
        ["has to be greased", "makes a grinding noise", "was replaced by the mechanic", "overheats under full load",
         "vibrates at high speed"],
        ["after the night shift", "in the old factory"]),
    "law": (
        ["The appeals court", "The defendant's lawyer", "The judge", "A jury of twelve citizens",
         "The public prosecutor"],
        ["rejected the contract as void", "asked for the witness statement", "referred to an earlier verdict",
         "questioned the evidence", "demanded a lower sentence"],
        ["on the third day of the trial", "without giving a reason"]),
    "medicine": (
        ["The surgeon", "A nurse on the ward", "The family doctor", "The patient with pneumonia",
         "An experienced anaesthetist"],
        ["checked the blood pressure", "asked about the allergy to penicillin", "ordered another X-ray of the lungs",
         "worried about the high fever", "read the results of the laboratory"],
        ["before the operation", "during the morning visit"]),
    "sports": (
        ["The young goalkeeper", "Our basketball team", "The marathon runner", "A tennis player from Spain",
         "The coach"],
        ["celebrated the victory", "trained harder than ever", "lost the final by a single point",
         "was injured in the second half", "hopes to qualify for the championship"],
        ["in front of forty thousand fans", "last season"]),
    "music": (
        ["The string quartet", "A jazz pianist", "The church choir", "The conductor", "A street violinist"],
        ["rehearsed the slow movement", "played the melody by heart", "tuned up for the concert",
         "improvised over an old song", "received long applause"],
        ["in the opera house", "at the summer festival"]),
    "astronomy": (
        ["The space telescope", "A team of astronomers", "The probe near Jupiter",
         "An amateur with a small telescope", "The observatory in Chile"],
        ["photographed a distant galaxy", "measured the orbit of a comet", "found a planet around another star",
         "recorded the light of a supernova", "mapped the craters of a moon"],
        ["for the first time", "on a clear night"]),
    "farming": (
        ["The dairy farmer", "A shepherd with his dog", "The vineyard on the hill", "The tractor driver",
         "An organic vegetable grower"],
        ["waited for the harvest", "lost a third of the crop to the drought", "ploughed the field by the river",
         "sold the wheat at a low price", "fed the animals at dawn"],
        ["this spring", "despite the dry soil"]),
    "money": (
        ["The central bank", "A small investor", "The insurance company", "The tax office",
         "The owner of the savings account"],
        ["raised the interest rate", "lost money on the stock exchange", "published the annual accounts",
         "paid back the loan early", "complained about the high fees"],
        ["in the last quarter", "because of inflation"]),
}


def sentences():
    """(topic, sentence) of each, topics taking turns."""
    by_topic = [[(topic, f"{subject} {does} {when}.") for subject in subjects for does in deeds for when in times]
                for topic, (subjects, deeds, times) in TOPICS.items()]
    return [one for turn in zip(*by_topic, strict=True) for one in turn]
