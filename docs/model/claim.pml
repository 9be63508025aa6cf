/* Claim, lease and fence of the mailbox, on one lane: what workers that crash and pause may do to its messages and to the
 * system outside. The names are the code's (src/tallystick/mailbox); README.md says what is modelled and what is assumed.
 * `tools/check-model` runs it, as it is and with one thing taken away at a time. */

#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef OFFERERS
#define OFFERERS 2 /* transactions that offer side by side */
#endif

/* So many troubles in one run, of any kind that may happen; what is bounded stops at last. */
#ifndef TROUBLES
#define TROUBLES 3
#endif
#ifndef PAUSES
#define PAUSES 1 /* a lease may end while its worker still means to write */
#endif
#ifndef LATE
#define LATE 1 /* a request may be done after whoever sent it has given it up */
#endif
#ifndef MAXIMUM_ATTEMPTS
#define MAXIMUM_ATTEMPTS 2
#endif

/* What is taken away, to see that it is needed. */
#ifndef FENCE
#define FENCE 1 /* settling compares the delivery */
#endif
#ifndef CLAIMED_BY
#define CLAIMED_BY 1 /* settling wants claimed_by */
#endif
#ifndef UNIQUE_INDEX
#define UNIQUE_INDEX 1 /* messages_started */
#endif
#ifndef EARLIER
#define EARLIER 1 /* claim leaves a message alone while an earlier one waits */
#endif
#ifndef LEASES_END
#define LEASES_END 1
#endif
#ifndef VERIFY
#define VERIFY 1 /* a second delivery looks the reference up */
#endif
#ifndef SYSTEM_UNIQUE
#define SYSTEM_UNIQUE 1 /* the system itself takes one reference once */
#endif

#define NOBODY 255
#define NOTHING 255

mtype = { unoffered, ready, dead, finished, discarded };
mtype = { Done, Rejected, Throttled, Unavailable, Transient, Unknown, none };
mtype = { idle, sent, carried_out };

/* A row of the table `messages`; its index is its position. A row is seen by others once its offer has committed. */
typedef Message {
    mtype state = unoffered;
    byte deliveries;
    byte attempts;
    byte claimed_by = NOBODY;
    bool due /* available_at <= now(), by the database's clock */
};
Message messages[MESSAGES];

/* The system outside, by the reference of each message. */
byte effects[MESSAGES];
byte adrift[MESSAGES]; /* requests under way that nobody waits for */
mtype request[WORKERS] = idle;
byte hand[WORKERS] = NOTHING; /* the message that a worker believes to hold */
bool crash[WORKERS];

/* What only the assertions know. */
byte holder[MESSAGES] = NOBODY; /* who claimed it last, and has not settled it */
byte settled[MESSAGES]; /* the last delivery that was settled */
byte before[MESSAGES]; /* what was there, as bits, when its offer began */
byte there;

byte position; /* the sequence */
byte troubles = TROUBLES;

#define live(m) (messages[m].state == ready || messages[m].state == dead)
#define started(m) (live(m) && messages[m].deliveries > 0)
#define waiting(m) (live(m) && messages[m].deliveries == 0)
#define over(m) (messages[m].state == finished || messages[m].state == discarded)
#if MESSAGES == 2
#define other_started(m) started(1 - m)
#define earlier_waits(m) (m == 1 && waiting(0))
#define number_started (started(0) + started(1))
#define settled_before(m) ((!(before[m] & 1) || over(0)) && (!(before[m] & 2) || over(1)))
#define any_dead (messages[0].state == dead || messages[1].state == dead)
#define at_rest ((over(0) || any_dead) && (over(1) || any_dead))
#else
#define other_started(m) ((m != 0 && started(0)) || (m != 1 && started(1)) || (m != 2 && started(2)))
#define earlier_waits(m) ((m > 0 && waiting(0)) || (m > 1 && waiting(1)))
#define number_started (started(0) + started(1) + started(2))
#define settled_before(m) ((!(before[m] & 1) || over(0)) && (!(before[m] & 2) || over(1)) && (!(before[m] & 4) || over(2)))
#define any_dead (messages[0].state == dead || messages[1].state == dead || messages[2].state == dead)
#define at_rest ((over(0) || any_dead) && (over(1) || any_dead) && (over(2) || any_dead))
#endif

/* _CLAIM: ready, due, and the head of its lane as the statement sees it. */
#define heads_lane(m) (messages[m].deliveries > 0 || (!other_started(m) && !(EARLIER && earlier_waits(m))))
#define claimable(m) (messages[m].state == ready && messages[m].due && heads_lane(m))
/* _HELD: the delivery is still the latest of its message, and was not settled. */
#define held(m, delivery) (live(m) && (!FENCE || messages[m].deliveries == delivery) \
                                   && (!CLAIMED_BY || !FENCE || messages[m].claimed_by != NOBODY))

/* A transaction that offers: its row has a place before anybody can see it. */
active [OFFERERS] proctype offer() {
    byte m;
    do
    :: d_step { position < MESSAGES -> m = position; position++; before[m] = there };
       d_step { messages[m].state = ready; messages[m].due = true; there = there | (1 << m) } /* commit */
    :: position == MESSAGES -> break
    od
}

inline extend(m, delivery) {
    d_step {
        if
        :: held(m, delivery) -> messages[m].due = false
        :: else
        fi
    }
}

inline finish(m) {
    assert(effects[m] > 0); /* nothing is finished that was not done */
    assert(settled_before(m)); /* first in, first out */
    messages[m].state = finished
}

inline defer(m, burnt, is_dead) {
    messages[m].attempts = messages[m].attempts + burnt;
    messages[m].due = false;
    if
    :: is_dead -> messages[m].state = dead
    :: else
    fi
}

inline give_back(m) {
    messages[m].due = false
}

/* plan_retry and what the carrier does with it. */
inline settle(m, delivery, answer) {
    d_step {
        if
        :: held(m, delivery) ->
            assert(holder[m] == me); /* a fenced worker changes nothing */
            assert(settled[m] < delivery); /* no delivery is settled twice */
            holder[m] = NOBODY;
            settled[m] = delivery;
            messages[m].claimed_by = NOBODY;
            if
            :: answer == Done -> finish(m)
            :: answer == Rejected -> defer(m, 1, true)
            :: answer == Throttled || answer == Unavailable -> defer(m, 0, false)
            :: answer == Transient || answer == Unknown ->
                defer(m, 1, messages[m].attempts >= MAXIMUM_ATTEMPTS)
            :: answer == none -> give_back(m)
            fi
        :: else /* fenced */
        fi
    }
}

inline write(m, answer) {
    request[me] = sent;
    if
    :: atomic { request[me] == carried_out -> answer = Done }
    :: atomic { request[me] == carried_out && troubles > 0 -> troubles--; answer = Unknown }
    :: atomic { request[me] == sent && troubles > 0 -> troubles--; answer = Unknown } /* it never arrives */
    :: atomic { request[me] == sent && LATE && troubles > 0 -> troubles--; adrift[m]++; answer = Unknown } /* it arrives later */
    fi;
    request[me] = idle
}

active [WORKERS] proctype worker() {
    byte me = _pid - OFFERERS;
    byte m, deliveries, delivery;
    bool verify;
    mtype answer;
    do
    :: {
           skip;
claim:     /* the statement's snapshot; then its lock, its update and the index, of the rows as they are by then */
end:       atomic {
               if
               :: claimable(0) -> m = 0
               :: claimable(1) -> m = 1
#if MESSAGES == 3
               :: claimable(2) -> m = 2
#endif
               fi;
               deliveries = messages[m].deliveries
           };
           atomic {
               if
               :: messages[m].state != ready || !messages[m].due || messages[m].deliveries != deliveries ->
                   goto claim /* changed since the statement began: left for the next */
               :: else -> skip
               fi;
               if
               :: UNIQUE_INDEX && deliveries == 0 && other_started(m) -> goto claim /* UniqueViolationError */
               :: else -> skip
               fi;
               messages[m].deliveries++;
               messages[m].claimed_by = me;
               messages[m].due = false;
               delivery = messages[m].deliveries;
               verify = VERIFY && delivery > 1;
               holder[m] = me;
               hand[me] = m;
               assert(number_started == 1); /* one at a time, and it stays the first until it is settled */
               assert(settled_before(m)) /* in the order in which they were offered */
           };
handle:    answer = none;
           if
           :: atomic { troubles > 0 -> troubles--; answer = Rejected }
           :: atomic { troubles > 0 -> troubles--; answer = Throttled }
           :: atomic { troubles > 0 -> troubles--; answer = Unavailable }
           :: atomic { troubles > 0 -> troubles--; answer = Transient }
           :: atomic { troubles > 0 -> troubles--; answer = none } /* the stage wants the database, and it is away */
           :: atomic { verify && effects[m] > 0 -> answer = Done } /* found by its reference */
           :: !verify || effects[m] == 0 -> write(m, answer) /* what happens between look-up and write is anybody's */
           fi;
           if
           :: messages[m].due -> extend(m, delivery) /* just in time, or too late */
           :: skip
           fi;
           do
           :: settle(m, delivery, answer);
               if
               :: atomic { troubles > 0 -> troubles-- } /* it is called again */
               :: skip -> break
               fi
           od;
           atomic { hand[me] = NOTHING; m = 0; deliveries = 0; delivery = 0; verify = false; answer = 0 }
       } unless {
           d_step {
               crash[me] ->
               crash[me] = false;
               if /* what it had sent is done later, or never */
               :: request[me] == sent && LATE -> adrift[m]++
               :: true
               fi;
               request[me] = idle;
               hand[me] = NOTHING; m = 0; deliveries = 0; delivery = 0; verify = false; answer = 0
           }
       }
    od
}

/* The system outside. With a uniqueness of its own it does nothing for a reference that it has. */
inline carry_out(m) {
    if
    :: SYSTEM_UNIQUE && effects[m] > 0
    :: else -> effects[m]++
    fi;
    assert(effects[m] <= 1) /* the effect happens once */
}

active proctype system() {
    end:
    do
    :: d_step { request[0] == sent && hand[0] != NOTHING -> carry_out(hand[0]); request[0] = carried_out }
    :: d_step { request[1] == sent && hand[1] != NOTHING -> carry_out(hand[1]); request[1] = carried_out }
#if WORKERS == 3
    :: d_step { request[2] == sent && hand[2] != NOTHING -> carry_out(hand[2]); request[2] = carried_out }
#endif
    :: d_step { adrift[0] > 0 -> adrift[0]--; carry_out(0) }
    :: d_step { adrift[1] > 0 -> adrift[1]--; carry_out(1) }
#if MESSAGES == 3
    :: d_step { adrift[2] > 0 -> adrift[2]--; carry_out(2) }
#endif
    od
}

/* Time by the database's clock: what waits becomes due, and leases end; of a worker that still means to write only by a pause. */
#define sleeping(m) (messages[m].state == ready && !messages[m].due)
#define in_hand(m) (messages[m].claimed_by != NOBODY && hand[messages[m].claimed_by] == m)
#define lapse(m) \
    :: d_step { sleeping(m) && !in_hand(m) && (LEASES_END || messages[m].claimed_by == NOBODY) -> messages[m].due = true } \
    :: d_step { sleeping(m) && in_hand(m) && PAUSES && troubles > 0 -> troubles--; messages[m].due = true }

active proctype clock() {
end:
    do
    lapse(0)
    lapse(1)
#if MESSAGES == 3
    lapse(2)
#endif
    od
}

/* Somebody who looks after dead letters, or leaves them. */
#define attend(m) \
    :: d_step { messages[m].state == dead && troubles > 0 -> \
           troubles--; messages[m].state = ready; messages[m].attempts = 0; messages[m].due = true } \
    :: d_step { messages[m].state == dead && troubles > 0 -> troubles--; messages[m].state = discarded }

active proctype person() {
end:
    do
    attend(0)
    attend(1)
#if MESSAGES == 3
    attend(2)
#endif
    od
}

#define kill(w) :: d_step { hand[w] != NOTHING && troubles > 0 -> troubles--; crash[w] = true }

active proctype nemesis() {
end:
    do
    kill(0)
    kill(1)
#if WORKERS == 3
    kill(2)
#endif
    od
}

/* When troubles stop, every message is finished or given up, or stands dead with its followers behind it. */
ltl comes_to_rest { [] <> at_rest }
