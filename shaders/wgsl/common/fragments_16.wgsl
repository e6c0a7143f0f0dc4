// Fragments of 16 by 16 on the device's own: of the left operand, of the right one, and of the sums.
alias FragA = coop_mat16x16<Frag, A>;
alias FragB = coop_mat16x16<Frag, B>;
alias FragC = coop_mat16x16<f32, C>;
#import fragments_device
